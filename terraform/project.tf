# What everything else stands on: the project's number, its services, and the
# labels that costs are told apart by.

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  # Also the label of a component is set, where it is made.
  labels         = merge(var.labels, { deployment = var.name })
  project_number = data.google_project.this.number

  _services = concat(
    [
      "bigquery.googleapis.com",
      "cloudscheduler.googleapis.com",
      "cloudtasks.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
      "storage.googleapis.com",
    ],
    length(local.source_datasets) > 0 ? ["bigquerystorage.googleapis.com"] : [],
    length(local.cloud_sql) > 0 ? ["sqladmin.googleapis.com"] : [],
    local.uses_dataflow ? ["dataflow.googleapis.com"] : [],
    var.network != null || local.uses_dataflow ? ["compute.googleapis.com"] : [],
  )
}

resource "google_project_service" "this" {
  for_each = toset(var.enable_services ? local._services : [])

  project = var.project_id
  service = each.key
  # Other things in the project may use it.
  disable_on_destroy = false
}
