# The buckets: one for everything that runs write, one for the job files, which
# only the operator writes.

locals {
  _day = 24

  # A request that outlives its run is taken for a repetition of it: the run
  # would be carried out again under its old number. Cloud Storage deletes up
  # to a day late.
  _request_days = var.run_retention_days - 2

  _bucket_location = coalesce(var.bucket_location, var.region)

  job_files = var.jobs_folder == null ? toset([]) : fileset(var.jobs_folder, "*.yaml")
  # What the planner would not find: it looks for `<name>.yaml`.
  _misnamed_job_files = (
    var.jobs_folder == null
    ? toset([])
    : setunion(fileset(var.jobs_folder, "*.yml"), fileset(var.jobs_folder, "*.json"))
  )
  # A file that is no YAML is `null`, so that a message can name it.
  jobs = {
    for file in local.job_files :
    trimsuffix(file, ".yaml") => try(yamldecode(file("${var.jobs_folder}/${file}")), null)
  }

  # Variables that a job's source names and the containers do not have.
  _unknown_variables = {
    for name, job in local.jobs : name => distinct([
      for found in regexall("\\$\\{(\\w+)\\}", jsonencode(try(job.source, ""))) : found[0]
      if !contains(keys(var.source_secrets), found[0])
    ])
  }

  # What the URL of each job's source names, if that is in BigQuery. What a
  # variable names, only the planner knows.
  _source_paths = {
    for name, job in local.jobs :
    name => try(regex("^bigquery://([^?#$]*)(?:[?#].*)?$", job.source.url)[0], null)
  }
  # Its dataset, as `source_datasets` names it.
  _job_source_datasets = {
    for name, path in local._source_paths :
    name => try(join(".", regex("^([^/]+)/([^/]+)", path)), null)
  }

  # The URL of each job's target, if it has one.
  _target_urls = {
    for name, job in local.jobs :
    name => try(tostring(job.target.table), tostring(job.target.dataset), null)
  }
  # Its dataset, as `datasets` names it, if the target is in BigQuery.
  _target_datasets = {
    for name, url in local._target_urls :
    name => try(join(".", regex("^bigquery://([^/]+)/([^/]+)(?:/[^/]*)?$", url)), null)
  }
  _dataset_names = [
    for _, dataset in local._datasets : "${dataset.project}.${dataset.dataset}"
  ]

  # A delayed execution waits up to 12 hours until it starts, and a run has
  # three executions, as is usual.
  _delay_hours = var.delayed_tasks ? 3 * 12 : 0
  # How long a run may need its part files.
  _part_hours = (
    2 * (var.run_deadline_hours + var.load_patience_hours + local.dataflow_hours)
    + local._delay_hours
  )
}

resource "google_storage_bucket" "runs" {
  name                        = coalesce(var.bucket_name, "${var.project_id}-${var.name}")
  location                    = local._bucket_location
  labels                      = merge(local.labels, { component = "runs" })
  force_destroy               = !var.deletion_protection
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  # Part files are deleted when their tables are visible. Kept for a week, as is
  # usual, they would cost more than everything else.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # Part files of runs that failed: they are there to load the run again.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.part_retention_days
      matches_prefix = ["runs/"]
      matches_suffix = [".parquet"]
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.run_retention_days
      matches_prefix = ["runs/"]
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = local._request_days
      matches_prefix = ["requests/"]
    }
  }

  lifecycle {
    precondition {
      condition = var.part_retention_days * local._day >= local._part_hours
      error_message = join(" ", [
        "Part files would be deleted while a run may still need them: raise",
        "part_retention_days to ${ceil(local._part_hours / local._day)}. That is twice",
        local.uses_dataflow
        ? "run_deadline_hours, load_patience_hours and dataflow_deadline_hours together, in days"
        : "run_deadline_hours and load_patience_hours together, in days",
        var.delayed_tasks ? "(with ${local._delay_hours} hours for delayed_tasks)." : "(rounded up).",
      ])
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket" "jobs" {
  name                        = "${google_storage_bucket.runs.name}-jobs"
  location                    = local._bucket_location
  labels                      = merge(local.labels, { component = "jobs" })
  force_destroy               = !var.deletion_protection
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  # Who changed a job, and what it was before.
  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 10
      with_state         = "ARCHIVED"
    }
  }

  lifecycle {
    precondition {
      condition = length(local._misnamed_job_files) == 0
      error_message = join(" ", [
        "Job files end in `.yaml`; rename",
        "${join(", ", local._misnamed_job_files)}.",
      ])
    }
  }
}

resource "google_storage_bucket_object" "job" {
  for_each = local.jobs

  bucket       = google_storage_bucket.jobs.name
  name         = "${each.key}.yaml"
  content_type = "application/yaml"
  content      = file("${var.jobs_folder}/${each.key}.yaml")

  lifecycle {
    precondition {
      condition     = can(regex("^[A-Za-z0-9_-]{1,100}$", each.key))
      error_message = "Job file `${each.key}.yaml`: a name has letters, digits, `-` and `_`."
    }
    precondition {
      condition     = can(keys(each.value))
      error_message = "Job file `${each.key}.yaml` is no YAML mapping: see `sluice validate`."
    }
    precondition {
      condition = !can(keys(each.value)) || alltrue([
        for part in ["name", "source", "target"] : can(each.value[part])
      ])
      error_message = "Job file `${each.key}.yaml` lacks `name`, `source` or `target`."
    }
    precondition {
      condition = (
        local._target_urls[each.key] == null || local._target_datasets[each.key] != null
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`:",
        startswith(try(coalesce(local._target_urls[each.key]), ""), "file:")
        ? "its target is a folder: in the cloud it is"
        : "its target is not in BigQuery: in the cloud it is",
        can(each.value.target.table)
        ? "`bigquery://PROJECT/DATASET/TABLE`."
        : "`bigquery://PROJECT/DATASET`.",
      ])
    }
    precondition {
      condition = (
        local._target_datasets[each.key] == null
        || try(contains(local._dataset_names, local._target_datasets[each.key]), false)
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: its target lies in the dataset",
        "`${try(coalesce(local._target_datasets[each.key]), "")}`, which `datasets` does not have:",
        "nothing may load into it. Add it to `datasets`, or correct the target.",
      ])
    }
    precondition {
      condition = (
        local._source_paths[each.key] == null || local._job_source_datasets[each.key] != null
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: its source names no dataset. It is",
        "`bigquery://PROJECT/DATASET`, and the dataset is one of `source_datasets`.",
      ])
    }
    precondition {
      condition = (
        local._job_source_datasets[each.key] == null
        || try(contains(keys(local.source_datasets), local._job_source_datasets[each.key]), false)
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: its source lies in the dataset",
        "`${try(coalesce(local._job_source_datasets[each.key]), "")}`, which `source_datasets`",
        "does not have: no job may read it. Add it to `source_datasets`, or correct the source.",
      ])
    }
    precondition {
      condition = length(local._unknown_variables[each.key]) == 0
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `source` names",
        "${join(", ", [for name in local._unknown_variables[each.key] : "`${name}`"])},",
        "which `source_secrets` does not have: add it there, with the id of a secret.",
      ])
    }
    precondition {
      condition = try(each.value.cloud_run.task_size, null) == null || try(
        contains(local.job_task_sizes, each.value.cloud_run.task_size), false
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `cloud_run.task_size` is one of",
        "${join(", ", local.job_task_sizes)}; job_task_sizes allows others.",
      ])
    }
    precondition {
      condition = (
        try(each.value.cloud_run.delay_execution, null) == null
        || try(each.value.cloud_run.delay_execution, null) == true
        || try(each.value.cloud_run.delay_execution, null) == false
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `cloud_run.delay_execution` is true or false,",
        "or is left out.",
      ])
    }
    precondition {
      condition = try(each.value.cloud_run.delay_execution, false) != true || var.delayed_tasks
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `cloud_run.delay_execution` needs",
        "delayed_tasks = true.",
      ])
    }
    precondition {
      condition = try(each.value.schedule, null) == null || can(
        regex("^\\S+( +\\S+){4}$", each.value.schedule)
      )
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `schedule` is not five cron fields; for 3",
        "at night: `0 3 * * *`.",
      ])
    }
  }
}
