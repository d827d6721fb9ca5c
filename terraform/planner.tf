# The planner: the Cloud Run service that turns a request into a plan, and
# launches the tasks.

locals {
  # The URL that Cloud Run gives a service is known before the service is made,
  # so the service can be told its own.
  # https://cloud.google.com/run/docs/triggering/https-request#deterministic
  planner_url = "https://${var.name}-planner-${local.project_number}.${var.region}.run.app"

  _planner_environment = merge(local.service_environment, {
    SLUICE_CALLERS           = try(join(",", local.caller_emails.planner), null)
    SLUICE_JOBS              = "gs://${google_storage_bucket.jobs.name}"
    SLUICE_PARALLELISM       = tostring(var.max_parallel_tasks)
    SLUICE_PLANNING_DEADLINE = "${var.planning_deadline_minutes}m"

    SLUICE_DATAFLOW_ABOVE_BYTES = try(tostring(var.dataflow_above.bytes), null)
    SLUICE_DATAFLOW_ABOVE_ROWS  = try(tostring(var.dataflow_above.rows), null)

    SLUICE_INLINE_CALLERS = join(",", concat(
      var.inline_callers,
      var.inline_messages ? [google_service_account.this["requests"].email] : [],
    ))
    SLUICE_JOB_BUCKETS  = join(",", sort(var.job_buckets))
    SLUICE_JOB_DATASETS = join(",", keys(local.source_datasets))
    SLUICE_JOB_FILES = join(",", concat(
      sort(var.job_files), sort(keys(var.source_files)),
    ))
    SLUICE_JOB_HOSTS = join(",", concat(
      sort(distinct(concat(var.job_hosts, var.login_hosts))),
      [for instance in local.cloud_sql_instances : "/cloudsql/${instance}"],
    ))
    SLUICE_JOB_VARIABLES = join(",", sort(keys(var.source_secrets)))
    # Who gets a token can log in with it to every instance of
    # cloud_sql_iam_logins, so not every host of a job gets one.
    SLUICE_LOGIN_HOSTS = join(",", concat(
      sort(distinct(var.login_hosts)),
      [
        for instance in local.cloud_sql_instances : "/cloudsql/${instance}"
        if contains(var.cloud_sql_iam_logins, instance)
      ],
    ))
    SLUICE_SOURCE_TLS = var.source_tls
  })
  # A list of nothing is left out, as what is not set is.
  planner_environment = {
    for name, value in local._planner_environment : name => value
    if value != null && value != ""
  }
}

resource "google_cloud_run_v2_service" "planner" {
  name                 = "${var.name}-planner"
  location             = var.region
  description          = "Sluice's planner: accepts requests for runs and plans them."
  labels               = merge(local.labels, { component = "planner" })
  ingress              = var.ingress
  invoker_iam_disabled = false
  custom_audiences     = [local.planner_url]
  # Nothing is lost with it: all state lies in the bucket.
  deletion_protection = false

  template {
    service_account       = google_service_account.this["planner"].email
    execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key        = var.kms_key
    # One planning takes at most ten minutes, after a minute's wait for a place.
    timeout                          = "900s"
    max_instance_request_concurrency = var.planner_size.concurrency

    scaling {
      min_instance_count = 0
      max_instance_count = var.planner_size.max_instances
    }

    containers {
      image   = var.image
      command = ["/usr/local/bin/sluice-planner"]

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = true
        startup_cpu_boost = true
        limits = {
          cpu    = tostring(var.planner_size.cpu)
          memory = var.planner_size.memory
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
        for_each = local.planner_environment
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

  lifecycle {
    postcondition {
      condition = contains(self.urls, local.planner_url)
      error_message = join(" ", [
        "Cloud Run did not give the planner the URL ${local.planner_url}, by which it",
        "is called, but ${join(" and ", self.urls)}.",
      ])
    }
    # Set by whatever deploys; no part of what is deployed.
    ignore_changes = [client, client_version]
  }

  # A revision does not start before it may read its secrets.
  depends_on = [
    google_project_service.this,
    google_secret_manager_secret_iam_member.source,
  ]
}
