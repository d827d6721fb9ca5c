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
      condition = (
        var.part_retention_days * local._day
        >= 2 * (var.run_deadline_hours + var.load_patience_hours)
      )
      error_message = join(" ", [
        "Part files would be deleted while a run may still need them: raise",
        "part_retention_days to twice run_deadline_hours and load_patience_hours",
        "together.",
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
      condition = alltrue([
        for part in ["name", "source", "target"] : can(each.value[part])
      ])
      error_message = "Job file `${each.key}.yaml` lacks `name`, `source` or `target`."
    }
    precondition {
      condition = alltrue([
        for found in regexall("\\$\\{(\\w+)\\}", jsonencode(try(each.value.source, ""))) :
        contains(keys(var.source_secrets), found[0])
      ])
      error_message = join(" ", [
        "Job file `${each.key}.yaml`: `source` names a variable that",
        "source_secrets does not have.",
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
