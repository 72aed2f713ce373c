# Written by setup.sh --tfvars.

variable "stack_name" {
  description = "Name of the cluster and of its stack: --name"
  type        = string
}

variable "template_url" {
  description = "The template, in the cluster's bucket"
  type        = string
}

variable "parameters" {
  description = "Parameters of the template. Secrets are not among them, only their ARNs"
  type        = map(string)
}

# Options that need none of setup.sh's checks: give them here, or there.

variable "min_workers" {
  description = "Fewest workers"
  type        = number
  default     = null
}

variable "max_workers" {
  description = "Most workers"
  type        = number
  default     = null
}

variable "on_demand_base" {
  description = "Number of workers that are never spot instances"
  type        = number
  default     = null
}

variable "on_demand_max" {
  description = "Most workers that are not spot instances: a number, or \"none\" for no limit"
  type        = string
  default     = null
}

variable "allow_cidr" {
  description = "Addresses that can reach the load balancer"
  type        = string
  default     = null
}

variable "alarm_email" {
  description = "Address that gets the alarms"
  type        = string
  default     = null
}

variable "monthly_budget" {
  description = "US dollars a month, of which 80 % spent or 100 % foreseen raise an alarm"
  type        = number
  default     = null
}

variable "failed_jobs_per_hour" {
  description = "An alarm is raised if more jobs fail within an hour"
  type        = number
  default     = null
}

variable "oldest_job_seconds" {
  description = "An alarm is raised if a queued job is older"
  type        = number
  default     = null
}

variable "log_days" {
  description = "Days for which logs are kept"
  type        = number
  default     = null
}

variable "tags" {
  description = "More tags of the stack's resources"
  type        = map(string)
  default     = {}
}
