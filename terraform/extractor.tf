# The extractor: the Cloud Run Jobs whose tasks read the source. The planner and
# the loader start their executions, each with its own number of tasks.

locals {
  # The job of the usual tasks: those of a job file that asks for no others.
  usual_job = "${var.name}-extractor"

  # The API lets an execution override its number of tasks and its timeout, not
  # its size or delay. So each kind of task has a job of its own.
  extractor_jobs = merge([
    for delayed in var.delayed_tasks ? [false, true] : [false] : {
      for size in local.job_task_sizes :
      join("-", concat(
        [local.usual_job],
        size == var.task_size ? [] : [size],
        delayed ? ["delayed"] : [],
      )) => { size = size, delayed = delayed }
    }
  ]...)

  # The sizes that a job file may ask for, the usual one first.
  job_task_sizes = concat([var.task_size], var.job_task_sizes)

  # What a job file may ask for, and the job whose tasks are of that kind.
  task_kinds = merge(
    {
      for name, job in local.extractor_jobs :
      job.delayed ? "${job.size}-delayed" : job.size => name
    },
    var.delayed_tasks ? { delayed = "${local.usual_job}-delayed" } : {},
  )

  # Cloud Run's limit for the work of a delayed execution, retries included.
  # https://cloud.google.com/run/docs/delayed-jobs
  _delayed_task_hours = 12

  extractor_environment = {
    for name, value in local._check_environment : name => value if value != null
  }
}

resource "google_cloud_run_v2_job" "extractor" {
  for_each = local.extractor_jobs

  name     = each.key
  location = var.region
  labels   = merge(local.labels, { component = "extractor" })
  # Nothing is lost with it: all state lies in the bucket.
  deletion_protection = false
  # Delayed executions are a preview of Cloud Run, which has to be asked for.
  launch_stage = each.value.delayed ? "BETA" : null

  template {
    # Cloud Run starts these within 12 hours, for less.
    delay_execution = each.value.delayed ? true : null
    # Each execution is started with its own number of tasks. How many there may
    # be is the planner's `SLUICE_PARALLELISM` and not the job's `parallelism`:
    # Cloud Run refuses an execution of fewer tasks than that.
    # https://github.com/googleapis/google-cloud-node/issues/4908
    task_count = 1

    template {
      service_account       = google_service_account.this["extractor"].email
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key        = var.kms_key
      # An execution that a person starts has this one; those of the services
      # have `SLUICE_TASK_TIMEOUT`, which is the same for tasks that are not
      # delayed.
      timeout = "${3600 * (
        each.value.delayed
        ? min(var.task_timeout_hours, local._delayed_task_hours)
        : var.task_timeout_hours
      )}s"
      # A task that could not reach its source tries once more in a second
      # attempt; the others are for machines that are lost.
      max_retries = 3

      containers {
        image   = var.image
        command = ["/usr/local/bin/sluice-extractor"]

        resources {
          limits = {
            cpu    = tostring(var.task_sizes[each.value.size].cpu)
            memory = var.task_sizes[each.value.size].memory
          }
        }

        dynamic "env" {
          for_each = local.extractor_environment
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = var.source_secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = local.volume_mounts
          content {
            name       = volume_mounts.key
            mount_path = volume_mounts.value
          }
        }
      }

      dynamic "volumes" {
        for_each = local.secret_volumes
        content {
          name = volumes.key
          secret {
            secret = volumes.value.secret
            items {
              path    = volumes.value.file
              version = "latest"
            }
          }
        }
      }

      dynamic "volumes" {
        for_each = local.cloud_sql_volumes
        content {
          name = volumes.key
          cloud_sql_instance {
            instances = volumes.value
          }
        }
      }

      dynamic "vpc_access" {
        for_each = local.networks
        content {
          egress = vpc_access.value.egress
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
            tags       = vpc_access.value.tags
          }
        }
      }
    }
  }

  lifecycle {
    # Set by whatever deploys; no part of what is deployed. Cloud Run answers
    # with another stage when the preview has ended.
    ignore_changes = [client, client_version, launch_stage]
  }

  # An execution does not start before it may read its secrets.
  depends_on = [
    google_project_service.this,
    google_secret_manager_secret_iam_member.source,
  ]
}
