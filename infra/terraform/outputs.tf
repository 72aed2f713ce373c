output "url" {
  description = "URL for clients"
  value       = aws_cloudformation_stack.workmanager.outputs["Url"]
}

output "load_balancer_name" {
  description = "DNS name of the load balancer, to which a domain of one's own must point"
  value       = aws_cloudformation_stack.workmanager.outputs["LoadBalancerName"]
}

output "api_keys_secret" {
  description = "ARN of the secret with the API keys"
  value       = aws_cloudformation_stack.workmanager.outputs["ApiKeysSecret"]
}

output "log_group" {
  description = "Log group of all hosts"
  value       = aws_cloudformation_stack.workmanager.outputs["LogGroup"]
}

output "alarm_topic" {
  description = "Topic of the alarms"
  value       = aws_cloudformation_stack.workmanager.outputs["AlarmTopic"]
}
