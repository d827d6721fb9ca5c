output "accounts" {
  description = "Emails of the service accounts, by what they are for."
  value       = { for name, account in google_service_account.this : name => account.email }
}

output "bucket" {
  description = "URL of the bucket of all runs: the `--bucket` of `sluice`."
  value       = "gs://${google_storage_bucket.runs.name}"
}

output "commands" {
  description = "What to try next, as commands to copy: `terraform output -raw commands`. JOB is the name of a job file, RUN the id of a run, KEY any word of your own."
  value = join("\n", [
    "# let `sluice` call the services as you, for an hour (`callers` has to name you)",
    "export SLUICE_TOKEN=\"$(gcloud auth print-identity-token)\"",
    "# ask for a run of the job file JOB.yaml and follow it",
    "sluice submit JOB --planner ${local.planner_url} --run-key KEY --watch",
    "# ask for a run by a message",
    join(" ", [
      "gcloud pubsub topics publish ${google_pubsub_topic.requests.name} --project=${var.project_id}",
      "--message='{\"job\": \"JOB\"}' --attribute=run_key=KEY",
    ]),
    "# print the id of the run that was asked for last",
    join(" ", [
      "gcloud logging read --project=${var.project_id} --limit=1 --format='value(jsonPayload.run)'",
      "'resource.labels.service_name=\"${google_cloud_run_v2_service.planner.name}\" jsonPayload.message=\"accepted a request\"'",
    ]),
    "# show how far a run has come and what failed; needs no right on the bucket",
    "sluice status RUN --watch --planner ${local.planner_url}",
    "# load the tables of a run again from its part files",
    "sluice load RUN --loader ${local.loader_url}",
    "# launch the usual tasks of a run again, where the loader cannot",
    join(" ", [
      "gcloud run jobs execute ${google_cloud_run_v2_job.extractor[local.usual_job].name}",
      "--project=${var.project_id} --region=${var.region}",
      "--update-env-vars=SLUICE_MANIFEST=gs://${google_storage_bucket.runs.name}/runs/RUN/manifest.json",
    ]),
    "",
  ])
}

output "database_grants" {
  description = "The SQL that lets the planner and the tasks read every table of the instances of cloud_sql_iam_logins. Run it once in each database, as a user who may grant roles. PostgreSQL before 14 has no pg_read_all_data: grant SELECT on the tables instead."
  value = join("", [
    for instance in sort(distinct(var.cloud_sql_iam_logins)) : join("\n", [
      "-- ${instance}",
      "GRANT pg_read_all_data TO ${join(", ", [
        for reader in local.source_readers : "\"${google_sql_user.source["${reader} ${instance}"].name}\""
      ])};",
      "",
    ])
  ])
}

output "dataflow_template" {
  description = "The Flex Template that is deployed, for the next call of Terraform."
  value       = var.dataflow_template
}

output "events_topic" {
  description = "Topic that the end of each run is published to."
  value       = google_pubsub_topic.events.id
}

output "extractor_job" {
  description = "The Cloud Run Job that the usual tasks run in."
  value       = google_cloud_run_v2_job.extractor[local.usual_job].id
}

output "image" {
  description = "The image that is deployed."
  value       = var.image
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
