# What tells a person that something needs them, and what shows how it goes.
# The messages are those that the programs log; docs/services.md lists them.

locals {
  extractor_job_names = sort([for job in google_cloud_run_v2_job.extractor : job.name])

  # Tasks of every kind, in Cloud Logging and in Cloud Monitoring. Names are
  # compared as a whole: one may be the beginning of another deployment's.
  is_extractor_log = format(
    length(local.extractor_job_names) == 1 ? "%s" : "(%s)",
    join(" OR ", [
      for name in local.extractor_job_names : "resource.labels.job_name=\"${name}\""
    ]),
  )
  is_extractor_metric = format(
    length(local.extractor_job_names) == 1 ? "resource.label.job_name=%s" : "resource.label.job_name=one_of(%s)",
    join(",", [for name in local.extractor_job_names : "\"${name}\""]),
  )

  _log_of = {
    extractor = join(" AND ", [
      "resource.type=\"cloud_run_job\"",
      local.is_extractor_log,
      "resource.labels.location=\"${var.region}\"",
    ])
    loader = join(" AND ", [
      "resource.type=\"cloud_run_revision\"",
      "resource.labels.service_name=\"${google_cloud_run_v2_service.loader.name}\"",
      "resource.labels.location=\"${var.region}\"",
    ])
    planner = join(" AND ", [
      "resource.type=\"cloud_run_revision\"",
      "resource.labels.service_name=\"${google_cloud_run_v2_service.planner.name}\"",
      "resource.labels.location=\"${var.region}\"",
    ])
  }

  _run_label  = { run = "EXTRACT(jsonPayload.run)" }
  _job_labels = merge(local._run_label, { job = "EXTRACT(jsonPayload.job)" })

  # One alert for each kind of line that a person should see.
  _alerts = {
    above_plan = {
      title    = "a run cost more than its plan"
      severity = "WARNING"
      filter   = "${local._log_of.loader} AND jsonPayload.message=\"a run cost more than its plan\""
      labels   = local._job_labels
      meaning  = <<-EOT
        The tasks worked longer than the plan expected, or were started again.
        The line's `dollars` and `dollars_planned` say how much. Look at its
        `retries` and `launches`, and at the failures that `sluice status`
        shows. Where there are none, the source's statistics may be old:
        `ANALYZE` its tables.
      EOT
    }
    dropped_message = {
      title    = "a message was dropped"
      severity = "ERROR"
      filter   = "${local._log_of.planner} AND severity=ERROR AND jsonPayload.message=\"dropped a message\""
      labels   = {}
      meaning  = <<-EOT
        A message asked for what its sender may not have, and will not be sent
        again. The line's `error` and `hint` say what to allow, or to correct.
      EOT
    }
    gave_up = {
      title    = "a run is no longer checked"
      severity = "CRITICAL"
      filter = join(" AND ", [
        local._log_of.loader,
        "severity=ERROR",
        "(jsonPayload.message=\"gave up checking a run\" OR jsonPayload.message=\"could not check a run\")",
      ])
      labels  = local._run_label
      meaning = <<-EOT
        Checks of the run fail, and go on failing. The line's `error` and `hint`
        name the cause. When the cause is removed, one check continues the run:
        `POST /runs/RUN/check` of the loader.
      EOT
    }
    internal_error = {
      title    = "a service has a bug"
      severity = "ERROR"
      filter = join(" AND ", [
        "((${local._log_of.planner}) OR (${local._log_of.loader}))",
        "severity=ERROR",
        "jsonPayload.message=\"could not answer a request\"",
      ])
      labels  = {}
      meaning = "A service answered 500. Please report the line's `error`."
    }
    launched_again = {
      title    = "tasks were launched again"
      severity = "WARNING"
      filter   = "${local._log_of.loader} AND jsonPayload.message=\"launching the tasks again\""
      labels   = local._run_label
      meaning  = <<-EOT
        An execution ended before every unit was read. The run goes on by
        itself; the line's `reason` says how many units are missing. Where it
        happens each night, look at the failures that `sluice status` shows.
      EOT
    }
    not_launched = {
      title    = "a run could not be launched"
      severity = "ERROR"
      filter   = "${local._log_of.planner} AND jsonPayload.message=\"a run could not be launched\""
      labels   = local._job_labels
      meaning  = <<-EOT
        Planning failed for good, and nothing was read. The line's `kind`,
        `error` and `hint` say who has to act and how. Then ask for the job
        again.
      EOT
    }
    nulls = {
      title    = "values became NULL"
      severity = "WARNING"
      filter   = "${local._log_of.loader} AND jsonPayload.message=\"values became NULL\""
      labels   = local._job_labels
      meaning  = <<-EOT
        The target's type cannot hold some values, and the job says
        `on_invalid: null`. The line names the table, the column and how many.
      EOT
    }
    run_failed = {
      title    = "a run failed"
      severity = "ERROR"
      filter   = "${local._log_of.loader} AND severity=ERROR AND jsonPayload.message=\"run failed\""
      labels   = local._job_labels
      meaning  = <<-EOT
        Some table is not visible. The line's `kind`, `error` and `hint` say who
        has to act and how. Tables that were read can be loaded again without
        reading them again: `sluice load RUN`.
      EOT
    }
    source_unreachable = {
      title    = "a source cannot be reached"
      severity = "WARNING"
      filter = join(" OR ", [
        "(${local._log_of.planner} AND jsonPayload.message=\"planning has to be tried again\")",
        "(${local._log_of.extractor} AND jsonPayload.message=~\"^begins again \")",
      ])
      labels  = local._run_label
      meaning = <<-EOT
        Planning or reading was interrupted and is tried again: a connection was
        refused or lost, or a server did not answer. The line's `error` says
        what. Look at the database, its limit of connections and the network.
      EOT
    }
  }

  notification_channels = concat(
    sort(var.notification_channels),
    [for email in sort(var.alert_emails) : google_monitoring_notification_channel.email[email].id],
  )

  # Figures of a run, from the line at its end.
  _figures = {
    bytes    = { unit = "By", text = "bytes received from the source" }
    dollars  = { unit = "{USD}", text = "US dollars of the tasks, as estimated from their receipts" }
    launches = { unit = "1", text = "executions ordered" }
    rows     = { unit = "1", text = "rows made visible" }
    seconds  = { unit = "s", text = "seconds from the plan to the end" }
  }
  _run_ended = "(jsonPayload.message=\"run finished\" OR jsonPayload.message=\"run failed\")"
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = "Sluice: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "log" {
  for_each = local._alerts

  display_name          = "Sluice (${var.name}): ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = each.value.title
    condition_matched_log {
      filter           = each.value.filter
      label_extractors = each.value.labels
    }
  }

  alert_strategy {
    auto_close = "86400s"
    # Cloud Monitoring asks for one where the condition is a log line.
    notification_rate_limit {
      period = "900s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content = join("\n", concat(
      [trimspace(each.value.meaning), ""],
      [for label in sort(keys(each.value.labels)) : "- ${label}: $${log.extracted_label.${label}}"],
    ))
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "Sluice (${var.name}): messages that no service took"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "messages that no service took"
    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    mime_type = "text/markdown"
    content = join(" ", [
      "A service refused a message a hundred times. Read it:",
      "`gcloud pubsub subscriptions pull ${google_pubsub_subscription.dead_letters.name}",
      "--format=json`. When the service answers, publish its data and its attributes to the",
      "topic that it came from, and then acknowledge it.",
    ])
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_metric" "runs" {
  name        = "${var.name}/runs"
  description = "Runs that ended, by job and outcome."
  filter      = "${local._log_of.loader} AND ${local._run_ended}"

  label_extractors = {
    job     = "EXTRACT(jsonPayload.job)"
    outcome = "EXTRACT(jsonPayload.message)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
    labels {
      key        = "job"
      value_type = "STRING"
    }
    labels {
      key        = "outcome"
      value_type = "STRING"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_metric" "figures" {
  for_each = local._figures

  name             = "${var.name}/${each.key}"
  description      = "Of each run that ended: ${each.value.text}."
  filter           = "${local._log_of.loader} AND ${local._run_ended}"
  value_extractor  = "EXTRACT(jsonPayload.${each.key})"
  label_extractors = { job = "EXTRACT(jsonPayload.job)" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
    labels {
      key        = "job"
      value_type = "STRING"
    }
  }

  depends_on = [google_project_service.this]
}
