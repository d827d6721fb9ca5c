# The extractor: the Cloud Run Job whose tasks read the source. The planner and
# the loader start its executions, each with its own number of tasks.

locals {
  task_size = var.task_sizes[var.task_size]

  extractor_environment = {
    for name, value in local._check_environment : name => value if value != null
  }
}

resource "google_cloud_run_v2_job" "extractor" {
  name     = "${var.name}-extractor"
  location = var.region
  labels   = merge(local.labels, { component = "extractor" })
  # Nothing is lost with it: all state lies in the bucket.
  deletion_protection = false

  template {
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
      # have `SLUICE_TASK_TIMEOUT`, which is the same.
      timeout = "${var.task_timeout_hours * 3600}s"
      # A task that could not reach its source tries once more in a second
      # attempt; the others are for machines that are lost.
      max_retries = 3

      containers {
        image   = var.image
        command = ["/usr/local/bin/sluice-extractor"]

        resources {
          limits = {
            cpu    = tostring(local.task_size.cpu)
            memory = local.task_size.memory
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
    # Set by whatever deploys; no part of what is deployed.
    ignore_changes = [client, client_version]
  }

  # An execution does not start before it may read its secrets.
  depends_on = [
    google_project_service.this,
    google_secret_manager_secret_iam_member.source,
  ]
}
