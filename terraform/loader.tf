# The loader: the Cloud Run service that checks runs and makes their tables
# visible.

locals {
  loader_url = "https://${var.name}-loader-${local.project_number}.${var.region}.run.app"

  _loader_environment = merge(local.service_environment, {
    SLUICE_CALLERS           = try(join(",", local.caller_emails.loader), null)
    SLUICE_DATAFLOW_DEADLINE = try("${var.dataflow_deadline_hours}h", null)
    SLUICE_LOAD_PATIENCE     = "${var.load_patience_hours}h"
    SLUICE_RUN_DEADLINE      = "${var.run_deadline_hours}h"
  })
  loader_environment = {
    for name, value in local._loader_environment : name => value if value != null
  }

  # What a task needs to ask the loader for a check.
  _check_environment = {
    RUST_LOG          = var.log_filter
    SLUICE_INVOKER    = google_service_account.this["tasks"].email
    SLUICE_LOADER_URL = local.loader_url
    SLUICE_QUEUE      = google_cloud_tasks_queue.runs.id
  }
  # What both services need.
  service_environment = merge(local._check_environment, local.dataflow_environment, {
    GOOGLE_CLOUD_PROJECT = var.project_id
    SLUICE_BUCKET        = "gs://${google_storage_bucket.runs.name}"
    SLUICE_EXTRACTOR_JOB = google_cloud_run_v2_job.extractor[local.usual_job].id
    # The names are references, so that no service is told of a job before it exists.
    SLUICE_EXTRACTOR_JOBS = join(",", [
      for kind, job in local.task_kinds : "${kind}=${google_cloud_run_v2_job.extractor[job].name}"
    ])
    SLUICE_PLANNER_URL  = local.planner_url
    SLUICE_TASK_TIMEOUT = "${var.task_timeout_hours}h"
    SLUICE_TOPIC        = google_pubsub_topic.events.id
  })
}

resource "google_cloud_run_v2_service" "loader" {
  name                 = "${var.name}-loader"
  location             = var.region
  description          = "Sluice's loader: checks runs and makes their tables visible."
  labels               = merge(local.labels, { component = "loader" })
  ingress              = var.ingress
  invoker_iam_disabled = false
  custom_audiences     = [local.loader_url]
  # Nothing is lost with it: all state lies in the bucket.
  deletion_protection = false

  template {
    service_account       = google_service_account.this["loader"].email
    execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key        = var.kms_key
    # As long as Cloud Tasks waits for an answer.
    timeout                          = "1800s"
    max_instance_request_concurrency = var.loader_size.concurrency

    scaling {
      min_instance_count = 0
      max_instance_count = var.loader_size.max_instances
    }

    containers {
      image   = var.image
      command = ["/usr/local/bin/sluice-loader"]

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = true
        startup_cpu_boost = true
        limits = {
          cpu    = tostring(var.loader_size.cpu)
          memory = var.loader_size.memory
        }
      }

      startup_probe {
        failure_threshold = 20
        period_seconds    = 3
        timeout_seconds   = 2
        http_get {
          path = "/healthz"
          port = 8080
        }
      }

      liveness_probe {
        failure_threshold = 3
        period_seconds    = 30
        timeout_seconds   = 5
        http_get {
          path = "/healthz"
          port = 8080
        }
      }

      dynamic "env" {
        for_each = local.loader_environment
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  lifecycle {
    postcondition {
      condition = contains(self.urls, local.loader_url)
      error_message = join(" ", [
        "Cloud Run did not give the loader the URL ${local.loader_url}, by which it",
        "is called, but ${join(" and ", self.urls)}.",
      ])
    }
    # Set by whatever deploys; no part of what is deployed.
    ignore_changes = [client, client_version]
  }

  depends_on = [google_project_service.this]
}
