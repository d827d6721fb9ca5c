# One page: what ended how, how much was moved, what runs now.

locals {
  _log_metric = "metric.type=\"logging.googleapis.com/user/${var.name}"

  # Two to a row.
  _charts = [
    {
      title   = "Runs that ended"
      filter  = "${local._log_metric}/runs\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.outcome"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      type    = "STACKED_BAR"
    },
    {
      title   = "Rows of a run, by job (mean)"
      filter  = "${local._log_metric}/rows\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.job"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_MEAN"
      type    = "LINE"
    },
    {
      title   = "Bytes of a run, by job (mean)"
      filter  = "${local._log_metric}/bytes\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.job"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_MEAN"
      type    = "LINE"
    },
    {
      title   = "US dollars of a run, by job (mean)"
      filter  = "${local._log_metric}/dollars\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.job"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_MEAN"
      type    = "LINE"
    },
    {
      title   = "Seconds of a run, by job (95th percentile)"
      filter  = "${local._log_metric}/seconds\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.job"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_PERCENTILE_95"
      type    = "LINE"
    },
    {
      title   = "Executions of a run, by job (mean)"
      filter  = "${local._log_metric}/launches\" resource.type=\"cloud_run_revision\""
      by      = ["metric.label.job"]
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_MEAN"
      type    = "LINE"
    },
    {
      title = "Tasks that run"
      filter = join(" ", [
        "metric.type=\"run.googleapis.com/job/running_task_attempts\"",
        "resource.type=\"cloud_run_job\"",
        local.is_extractor_metric,
      ])
      by      = ["resource.label.job_name"]
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_SUM"
      type    = "STACKED_AREA"
    },
    {
      title = "Calls that wait in the queue"
      filter = join(" ", [
        "metric.type=\"cloudtasks.googleapis.com/queue/depth\"",
        "resource.type=\"cloud_tasks_queue\"",
        "resource.label.queue_id=\"${google_cloud_tasks_queue.runs.name}\"",
      ])
      by      = ["resource.label.queue_id"]
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_SUM"
      type    = "LINE"
    },
  ]
}

locals {
  # Cloud Monitoring leaves a 0 out, which would be a difference in each plan.
  _places = [
    for place, _ in local._charts : {
      for axis, at in { xPos = place % 2 * 24, yPos = floor(place / 2) * 16 } : axis => at if at > 0
    }
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "Sluice (${var.name})"
    mosaicLayout = {
      columns = 48
      tiles = [
        for place, chart in local._charts : merge(local._places[place], {
          width  = 24
          height = 16
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = chart.type
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "300s"
                      crossSeriesReducer = chart.reducer
                      groupByFields      = chart.by
                      perSeriesAligner   = chart.aligner
                    }
                  }
                }
              }]
            }
          }
        })
      ]
    }
  })

  # A chart of a metric that does not exist yet is refused.
  depends_on = [
    google_logging_metric.figures,
    google_logging_metric.runs,
    google_project_service.this,
  ]
}
