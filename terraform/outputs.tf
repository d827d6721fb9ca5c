output "accounts" {
  description = "Emails of the service accounts, by what they are for."
  value       = { for name, account in google_service_account.this : name => account.email }
}

output "bucket" {
  description = "URL of the bucket of all runs: the `--bucket` of `sluice`."
  value       = "gs://${google_storage_bucket.runs.name}"
}

output "commands" {
  description = "What to try next, each a command to copy."
  value = {
    execute_again = join(" ", [
      "gcloud run jobs execute ${google_cloud_run_v2_job.extractor[local.usual_job].name}",
      "--project=${var.project_id} --region=${var.region}",
      "--update-env-vars=SLUICE_MANIFEST=gs://${google_storage_bucket.runs.name}/runs/RUN/manifest.json",
    ])
    last_run = join(" ", [
      "gcloud logging read --project=${var.project_id} --limit=1",
      "'resource.labels.service_name=\"${google_cloud_run_v2_service.planner.name}\" jsonPayload.message=\"accepted a request\"'",
      "--format='value(jsonPayload.run)'",
    ])
    load_again = "sluice load RUN --loader ${local.loader_url}"
    publish = join(" ", [
      "gcloud pubsub topics publish ${google_pubsub_topic.requests.name}",
      "--project=${var.project_id} --message='{\"job\": \"JOB\"}' --attribute=run_key=KEY",
    ])
    request = join(" ", [
      "curl -sS -X POST ${local.planner_url}/runs",
      "-H \"Authorization: Bearer $(gcloud auth print-identity-token)\"",
      "-H 'Content-Type: application/json' -d '{\"job\": \"JOB\"}'",
    ])
    status = "sluice status RUN --watch --bucket gs://${google_storage_bucket.runs.name}"
  }
}

output "database_grants" {
  description = "SQL for each of cloud_sql_iam_logins, which its owner runs once: then jobs may read every table of the instance. PostgreSQL before 14 has no pg_read_all_data: grant `SELECT` on the tables."
  value = {
    for instance in toset(var.cloud_sql_iam_logins) : instance => "GRANT pg_read_all_data TO ${join(", ", [
      for reader in local.source_readers : "\"${google_sql_user.source["${reader} ${instance}"].name}\""
    ])};"
  }
}

output "events_topic" {
  description = "Topic that the end of each run is published to."
  value       = google_pubsub_topic.events.id
}

output "extractor_job" {
  description = "The Cloud Run Job that the usual tasks run in."
  value       = google_cloud_run_v2_job.extractor[local.usual_job].id
}

output "jobs_bucket" {
  description = "URL of the bucket of job files."
  value       = "gs://${google_storage_bucket.jobs.name}"
}

output "loader_url" {
  description = "URL of the loader: the `--loader` of `sluice load`."
  value       = local.loader_url
}

output "planner_url" {
  description = "URL of the planner: the `--planner` of `sluice submit`."
  value       = local.planner_url
}

output "requests_topic" {
  description = "Topic that requests for runs are published to."
  value       = google_pubsub_topic.requests.id
}

output "schedules" {
  description = "The schedule of each job file that has one."
  value       = local.schedules
}
