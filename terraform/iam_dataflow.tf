# Rights for Dataflow: launching a job, and what its machines do as the account
# `dataflow`. What it has as every other account has it is in iam.tf.
# There is nothing smaller than a project for a job of Dataflow.

locals {
  _dataflow_launchers = toset(local.uses_dataflow ? ["loader"] : [])
}

# Google's own role, `roles/dataflow.developer`, also starts builds of Cloud Build,
# which run as another account.
resource "google_project_iam_custom_role" "dataflow" {
  for_each = local._dataflow_launchers

  project     = var.project_id
  role_id     = "${replace(var.name, "-", "_")}_dataflow"
  title       = "Sluice (${var.name}): jobs of Dataflow"
  description = "Launches jobs of Dataflow, looks at them, and cancels them."
  permissions = [
    "dataflow.jobs.cancel",
    "dataflow.jobs.create",
    "dataflow.jobs.get",
    "dataflow.jobs.list",
    "dataflow.messages.list",
  ]

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "dataflow" {
  for_each = {
    for account, role in {
      dataflow = "roles/dataflow.worker"
      loader   = one([for role in google_project_iam_custom_role.dataflow : role.id])
    } : account => role if local.uses_dataflow
  }

  project = var.project_id
  role    = each.value
  member  = google_service_account.this[each.key].member
}

resource "google_service_account_iam_member" "dataflow" {
  for_each = local._dataflow_launchers

  service_account_id = google_service_account.this["dataflow"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.key].member
}

# As of the loader: a load into a dataset runs in its project.
resource "google_project_iam_member" "dataflow_bigquery" {
  for_each = toset([
    for _, dataset in local._datasets : dataset.project if local.uses_dataflow
  ])

  project = each.key
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.this["dataflow"].member
}

# Who launches a template reads it. Its bucket may hold other things, such as the
# state of Terraform, so only the folder of the template is opened.
resource "google_storage_bucket_iam_member" "dataflow_template" {
  for_each = local._dataflow_launchers

  bucket = local.dataflow_template.bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.this[each.key].member

  condition {
    title = "${var.name}: only the template of Dataflow"
    expression = join("", [
      "resource.name.startsWith(\"projects/_/buckets/${local.dataflow_template.bucket}",
      "/objects/${local.dataflow_template.folder}\")",
    ])
  }
}

resource "google_artifact_registry_repository_iam_member" "dataflow" {
  for_each = local.dataflow_repositories

  project    = each.value.project
  location   = each.value.location
  repository = each.value.repository
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.this["dataflow"].member
}
