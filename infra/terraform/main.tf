# workmanager's stack, as setup.sh deploys it, for those who keep their infrastructure with Terraform.
#
#   ./scripts/setup.sh --tfvars workmanager.auto.tfvars.json [OPTION]...    # bucket, bundle, certificates; no stack
#   terraform apply
#   ./scripts/setup.sh                                                      # changes nothing, waits and tests it
#
# docs/operating.md has more.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 4.0"
    }
  }
}

locals {
  # Those that are null keep the value that setup.sh has written, or the template's default.
  changed = {
    MinWorkers        = var.min_workers
    MaxWorkers        = var.max_workers
    OnDemandBase      = var.on_demand_base
    OnDemandMax       = var.on_demand_max
    AllowCidr         = var.allow_cidr
    AlarmEmail        = var.alarm_email
    MonthlyBudget     = var.monthly_budget
    FailedJobsPerHour = var.failed_jobs_per_hour
    OldestJobSeconds  = var.oldest_job_seconds
    LogDays           = var.log_days
  }
}

resource "aws_cloudformation_stack" "workmanager" {
  name         = var.stack_name
  template_url = var.template_url
  parameters   = merge(var.parameters, { for name, value in local.changed : name => tostring(value) if value != null })
  capabilities = ["CAPABILITY_IAM"]
  tags         = merge(var.tags, { "workmanager:cluster" = var.stack_name })

  # A host has half an hour to boot, and hosts are replaced one after the other.
  timeouts {
    create = "2h"
    update = "2h"
    delete = "2h"
  }
}
