# What starts runs and carries them on: messages, schedules, the queue that
# calls both services, and the audit log's entries of executions.

locals {
  # Topics that a push subscription delivers to a service, as an account that
  # may call nothing else.
  _pushes = {
    executions = {
      account      = "signals"
      ack_deadline = 600
      audience     = local.loader_url
      endpoint     = "${local.loader_url}/executions"
      topic        = google_pubsub_topic.executions.id
    }
    requests = {
      account      = "requests"
      ack_deadline = 60
      audience     = local.planner_url
      endpoint     = "${local.planner_url}/pubsub"
      topic        = google_pubsub_topic.requests.id
    }
  }

  schedules = {
    for name, job in local.jobs : name => job.schedule
    if try(job.schedule, null) != null
  }
}

# Requests for runs: `{"job": "orders"}`.
resource "google_pubsub_topic" "requests" {
  name         = "${var.name}-requests"
  labels       = local.labels
  kms_key_name = var.kms_key

  depends_on = [google_project_service.this]
}

# The end of each run: what a program subscribes to.
resource "google_pubsub_topic" "events" {
  name         = "${var.name}-events"
  labels       = local.labels
  kms_key_name = var.kms_key

  depends_on = [google_project_service.this]
}

# The audit log's entries of executions.
resource "google_pubsub_topic" "executions" {
  name         = "${var.name}-executions"
  labels       = local.labels
  kms_key_name = var.kms_key

  depends_on = [google_project_service.this]
}

# Messages that a service refused a hundred times.
resource "google_pubsub_topic" "dead_letters" {
  name         = "${var.name}-dead-letters"
  labels       = local.labels
  kms_key_name = var.kms_key

  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "dead_letters" {
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  labels                     = local.labels
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "push" {
  for_each = local._pushes

  name                       = "${var.name}-${each.key}"
  topic                      = each.value.topic
  labels                     = local.labels
  ack_deadline_seconds       = each.value.ack_deadline
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = each.value.endpoint
    oidc_token {
      audience              = each.value.audience
      service_account_email = google_service_account.this[each.value.account].email
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # A hundred tries at these pauses are more than half a day.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 100
  }
}

# An entry says that an execution may have ended. The loader looks for itself.
resource "google_logging_project_sink" "executions" {
  name                   = "${var.name}-executions"
  description            = "Ends of executions of tasks of ${var.name}, for the loader."
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.executions.id}"
  unique_writer_identity = true
  filter = join(" AND ", [
    "log_id(\"cloudaudit.googleapis.com/system_event\")",
    "resource.type=\"cloud_run_job\"",
    local.is_extractor_log,
    "resource.labels.location=\"${var.region}\"",
    "protoPayload.methodName=\"/Jobs.RunJob\"",
  ])
}

# The calls of both services: plans, and checks of runs.
resource "google_cloud_tasks_queue" "runs" {
  name     = "${var.name}-runs"
  location = var.region

  rate_limits {
    max_concurrent_dispatches = 100
    max_dispatches_per_second = 50
  }

  # The planner ends a run that it could not plan before its deadline, and the
  # queue must not give up before. It gives up when both limits are passed.
  retry_config {
    max_attempts       = 100
    max_retry_duration = "${2 * 60 * var.planning_deadline_minutes}s"
    min_backoff        = "10s"
    max_backoff        = "300s"
    max_doublings      = 5
  }

  stackdriver_logging_config {
    sampling_ratio = 1
  }

  depends_on = [google_project_service.this]
}

# One for each job file with a `schedule`. A call that is repeated is for the
# same time, so it starts one run.
resource "google_cloud_scheduler_job" "job" {
  for_each = local.schedules

  name             = "${var.name}-${each.key}"
  region           = var.region
  description      = "Asks for a run of Sluice's job `${each.key}`."
  schedule         = each.value
  time_zone        = var.time_zone
  paused           = contains(var.paused_jobs, each.key)
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = "${local.planner_url}/runs"
    body        = base64encode(jsonencode({ job = each.key }))
    headers     = { "Content-Type" = "application/json" }
    oidc_token {
      audience              = local.planner_url
      service_account_email = google_service_account.this["scheduler"].email
    }
  }

  retry_config {
    retry_count          = 5
    min_backoff_duration = "10s"
    max_backoff_duration = "300s"
    max_doublings        = 5
  }

  # No schedule of a file that is refused, and none of a job that is not there.
  depends_on = [google_project_service.this, google_storage_bucket_object.job]
}
