# Who may do what: every account and every role in one file. A role is bound on
# the one resource that it is for, where that is possible.
# crates/runtime/src/google/permissions.md says which call needs which role.

locals {
  _accounts = {
    for name, purpose in {
      dataflow  = "deduplicates large tables on Dataflow"
      extractor = "reads the source and writes part files"
      loader    = "checks runs and loads their tables"
      planner   = "plans runs and starts their tasks"
      requests  = "delivers messages of the request topic to the planner"
      scheduler = "calls the planner at the time of a schedule"
      signals   = "delivers the audit log's entries to the loader"
      tasks     = "calls both services for Cloud Tasks"
    } : name => purpose if name != "dataflow" || local.uses_dataflow
  }

  # Those that open connections to the source.
  source_readers = ["extractor", "planner"]

  # Those of an account that there is not are not bound.
  _bucket_roles = {
    dataflow  = ["roles/storage.objectUser"]
    extractor = ["roles/storage.objectCreator", "roles/storage.objectViewer"]
    loader    = ["roles/storage.legacyBucketReader", "roles/storage.objectUser"]
    planner   = ["roles/storage.legacyBucketReader", "roles/storage.objectUser"]
  }
  _dataset_roles = {
    dataflow = "roles/bigquery.dataEditor"
    loader   = "roles/bigquery.dataEditor"
    planner  = "roles/bigquery.metadataViewer"
  }
  _job_roles    = ["roles/run.jobsExecutorWithOverrides", "roles/run.viewer"]
  _launchers    = ["loader", "planner"]
  _reader_roles = ["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"]

  # `dataset` lies in the project of the deployment.
  _datasets = {
    for name in var.datasets : name => {
      project = length(split(".", name)) == 2 ? split(".", name)[0] : var.project_id
      dataset = reverse(split(".", name))[0]
    }
  }

  # By their full names, which the planner compares. A project's own name may have
  # dots.
  source_datasets = {
    for name in toset([
      for name in var.source_datasets :
      strcontains(name, ".") ? name : "${var.project_id}.${name}"
    ]) : name => regex("^(?P<project>.+)\\.(?P<dataset>[^.]+)$", name)
  }

  # Those of other clouds have rights of their own.
  _source_buckets = [
    for bucket in var.job_buckets : trimprefix(bucket, "gs://")
    if startswith(bucket, "gs://")
  ]

  # Callers of each service: those of Sluice itself, and the operator's.
  _callers = {
    loader  = ["signals", "tasks"]
    planner = ["requests", "scheduler", "tasks"]
  }
  # The services check emails too, which a group has not.
  _named_callers = [
    for member in var.callers : split(":", member)[1] if !startswith(member, "group:")
  ]
  _checks_emails = length(local._named_callers) == length(var.callers)
  caller_emails = {
    for service, accounts in local._callers : service => local._checks_emails ? concat(
      [for account in accounts : google_service_account.this[account].email],
      sort(local._named_callers),
    ) : null
  }

  # Google's own accounts.
  _pubsub_agent = "serviceAccount:service-${local.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_service_account" "this" {
  for_each = local._accounts

  account_id   = "${var.name}-${each.key}"
  display_name = "Sluice: ${each.key}"
  description  = "Sluice (${var.name}): ${each.value}."

  depends_on = [google_project_service.this]
}

# Cloud Run: starting tasks, and calling the services.

resource "google_cloud_run_v2_job_iam_member" "extractor" {
  for_each = {
    for bound in setproduct(keys(local.extractor_jobs), local._launchers, local._job_roles) :
    join(" ", bound) => { job = bound[0], account = bound[1], role = bound[2] }
  }

  name     = google_cloud_run_v2_job.extractor[each.value.job].name
  location = var.region
  role     = each.value.role
  member   = google_service_account.this[each.value.account].member
}

resource "google_cloud_run_v2_service_iam_member" "loader" {
  for_each = toset(local._callers.loader)

  name     = google_cloud_run_v2_service.loader.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.this[each.key].member
}

resource "google_cloud_run_v2_service_iam_member" "planner" {
  for_each = toset(local._callers.planner)

  name     = google_cloud_run_v2_service.planner.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.this[each.key].member
}

resource "google_cloud_run_v2_service_iam_member" "callers" {
  for_each = {
    for pair in setproduct(local._launchers, toset(var.callers)) :
    "${pair[0]} ${pair[1]}" => { service = pair[0], member = pair[1] }
  }

  name = (
    each.value.service == "planner"
    ? google_cloud_run_v2_service.planner.name
    : google_cloud_run_v2_service.loader.name
  )
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value.member
}

# Cloud Tasks: asking for calls, which are made as the account `tasks`.

resource "google_cloud_tasks_queue_iam_member" "runs" {
  for_each = toset(["extractor", "loader", "planner"])

  name     = google_cloud_tasks_queue.runs.name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.this[each.key].member
}

resource "google_service_account_iam_member" "tasks" {
  for_each = toset(["extractor", "loader", "planner"])

  service_account_id = google_service_account.this["tasks"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.key].member
}

# Cloud Storage.

resource "google_storage_bucket_iam_member" "runs" {
  for_each = merge([
    for account, roles in local._bucket_roles : {
      for role in roles : "${account} ${role}" => { account = account, role = role }
    } if contains(keys(local._accounts), account)
  ]...)

  bucket = google_storage_bucket.runs.name
  role   = each.value.role
  member = google_service_account.this[each.value.account].member
}

resource "google_storage_bucket_iam_member" "jobs" {
  bucket = google_storage_bucket.jobs.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.this["planner"].member
}

# Files as a source: the planner and the tasks look at them and read them. The
# loader compares those that BigQuery loads by itself with the plan, and its load
# jobs read them.
resource "google_storage_bucket_iam_member" "source" {
  for_each = {
    for pair in setproduct(["extractor", "loader", "planner"], local._source_buckets) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], bucket = pair[1] }
  }

  bucket = each.value.bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.this[each.value.account].member
}

# BigQuery.

resource "google_bigquery_dataset_iam_member" "target" {
  for_each = {
    for pair in setproduct(keys(local._dataset_roles), keys(local._datasets)) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], dataset = pair[1] }
    if contains(keys(local._accounts), pair[0])
  }

  project    = local._datasets[each.value.dataset].project
  dataset_id = local._datasets[each.value.dataset].dataset
  role       = local._dataset_roles[each.value.account]
  member     = google_service_account.this[each.value.account].member
}

# There is nothing smaller than a project to start jobs in; it is that of the
# dataset, which pays for them.
resource "google_project_iam_member" "bigquery" {
  for_each = toset([for _, dataset in local._datasets : dataset.project])

  project = each.key
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.this["loader"].member
}

# Reading a source: the loader by copies and queries, which run in the project of
# the target's dataset, the planner and the tasks by queries and streams.
resource "google_bigquery_dataset_iam_member" "source" {
  for_each = {
    for pair in setproduct(["extractor", "loader", "planner"], keys(local.source_datasets)) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], dataset = pair[1] }
  }

  project    = local.source_datasets[each.value.dataset].project
  dataset_id = local.source_datasets[each.value.dataset].dataset
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.this[each.value.account].member
}

# These queries and streams are started in the project of the deployment, which
# pays for them, wherever the source lies. A job whose source lies elsewhere names
# it as its `billing_project`.
resource "google_project_iam_member" "bigquery_source" {
  for_each = {
    for pair in setproduct(local.source_readers, local._reader_roles) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], role = pair[1] }
    if length(local.source_datasets) > 0
  }

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.this[each.value.account].member
}

# Cloud SQL, which has no rights on an instance but by a condition.
# https://cloud.google.com/sql/docs/postgres/iam-conditions

locals {
  _only_instance = {
    for name, at in local.cloud_sql : name => {
      title = "${var.name}: only ${at.instance}"
      expression = join(" && ", [
        "resource.service == \"sqladmin.googleapis.com\"",
        "resource.name == \"projects/${at.project}/instances/${at.instance}\"",
      ])
    }
  }
  _cloud_sql_logins = {
    for pair in setproduct(local.source_readers, toset(var.cloud_sql_iam_logins)) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], instance = pair[1] }
  }
}

# Opening a socket.
resource "google_project_iam_member" "cloud_sql" {
  for_each = {
    for pair in setproduct(local.source_readers, local.cloud_sql_instances) :
    "${pair[0]} ${pair[1]}" => { account = pair[0], instance = pair[1] }
  }

  project = local.cloud_sql[each.value.instance].project
  role    = "roles/cloudsql.client"
  member  = google_service_account.this[each.value.account].member

  condition {
    title      = local._only_instance[each.value.instance].title
    expression = local._only_instance[each.value.instance].expression
  }
}

# Logging in without a password.
resource "google_project_iam_member" "cloud_sql_login" {
  for_each = local._cloud_sql_logins

  project = local.cloud_sql[each.value.instance].project
  role    = "roles/cloudsql.instanceUser"
  member  = google_service_account.this[each.value.account].member

  condition {
    title      = local._only_instance[each.value.instance].title
    expression = local._only_instance[each.value.instance].expression
  }
}

# The user of PostgreSQL that an account logs in as. It is deleted with the
# deployment, and its membership of pg_read_all_data with it: left there
# (`ABANDON`), it would give its rights to the next account of this name. Cloud
# SQL refuses to delete a user that has rights on single tables; they are
# revoked before, by `DROP OWNED BY`.
resource "google_sql_user" "source" {
  for_each = local._cloud_sql_logins

  project  = local.cloud_sql[each.value.instance].project
  instance = local.cloud_sql[each.value.instance].instance
  # PostgreSQL's names are short: Cloud SQL has the end left out.
  name = trimsuffix(google_service_account.this[each.value.account].email, ".gserviceaccount.com")
  type = "CLOUD_IAM_SERVICE_ACCOUNT"

  depends_on = [google_project_service.this]
}

# Pub/Sub.

resource "google_pubsub_topic_iam_member" "events" {
  for_each = toset(local._launchers)

  topic  = google_pubsub_topic.events.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.this[each.key].member
}

resource "google_pubsub_topic_iam_member" "event_subscribers" {
  for_each = toset(var.event_subscribers)

  topic  = google_pubsub_topic.events.name
  role   = "roles/pubsub.subscriber"
  member = each.key
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = toset(var.publishers)

  topic  = google_pubsub_topic.requests.name
  role   = "roles/pubsub.publisher"
  member = each.key
}

resource "google_pubsub_topic_iam_member" "sink" {
  topic  = google_pubsub_topic.executions.name
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.executions.writer_identity
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = local._pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = google_pubsub_subscription.push

  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local._pubsub_agent
}
