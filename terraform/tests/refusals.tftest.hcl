# What is refused, and by which variable or resource.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project_id     = "shop-prod"
  region         = "europe-west3"
  image          = "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice:0.1.0"
  datasets       = ["sales"]
  source_secrets = { SOURCE_URL = "shop-url" }
}

run "a_wrong_alert_emails" {
  command         = plan
  expect_failures = [var.alert_emails]
  variables {
    alert_emails = ["etl"]
  }
}

run "an_alert_email_with_user" {
  command         = plan
  expect_failures = [var.alert_emails]
  variables {
    alert_emails = ["user:etl@example.com"]
  }
}

run "a_wrong_bucket_location" {
  command         = plan
  expect_failures = [var.bucket_location]
  variables {
    bucket_location = "europe west"
  }
}

run "a_wrong_bucket_name" {
  command         = plan
  expect_failures = [var.bucket_name]
  variables {
    bucket_name = "gs://lake"
  }
}

run "a_wrong_callers" {
  command         = plan
  expect_failures = [var.callers]
  variables {
    callers = ["allUsers"]
  }
}

run "an_email_alone_is_no_member" {
  command         = plan
  expect_failures = [var.callers]
  variables {
    callers = ["ann@example.com"]
  }
}

run "a_caller_whose_email_is_cut_off" {
  command         = plan
  expect_failures = [var.callers]
  variables {
    callers = ["serviceAccount:web@..."]
  }
}

run "a_wrong_cloud_sql_iam_logins" {
  command         = plan
  expect_failures = [var.cloud_sql_iam_logins]
  variables {
    cloud_sql_iam_logins = ["europe-west3:shop"]
  }
}

run "a_user_whose_name_is_too_long" {
  command         = plan
  expect_failures = [var.cloud_sql_iam_logins]
  variables {
    cloud_sql_iam_logins = ["shop-prod:europe-west3:shop"]
    name                 = "the-warehouse-of-all"
    project_id           = "shop-production-in-frankfurt1"
  }
}

run "a_wrong_cloud_sql_instances" {
  command         = plan
  expect_failures = [var.cloud_sql_instances]
  variables {
    cloud_sql_instances = ["shop"]
  }
}

run "a_wrong_dataflow_above" {
  command         = plan
  expect_failures = [var.dataflow_above]
  variables {
    dataflow_above    = { rows = 0.5 }
    dataflow_template = "gs://shop-prod-terraform/sluice/dataflow/1.json"
  }
}

run "a_dataflow_above_of_nothing" {
  command         = plan
  expect_failures = [var.dataflow_above]
  variables {
    dataflow_above    = {}
    dataflow_template = "gs://shop-prod-terraform/sluice/dataflow/1.json"
  }
}

run "a_dataflow_above_without_dataflow" {
  command         = plan
  expect_failures = [var.dataflow_above]
  variables {
    dataflow_above = { rows = 2000000000 }
  }
}

run "a_wrong_dataflow_deadline_hours" {
  command         = plan
  expect_failures = [var.dataflow_deadline_hours]
  variables {
    dataflow_deadline_hours = 0
    dataflow_template       = "gs://shop-prod-terraform/sluice/dataflow/1.json"
  }
}

run "a_dataflow_deadline_hours_without_dataflow" {
  command         = plan
  expect_failures = [var.dataflow_deadline_hours]
  variables {
    dataflow_deadline_hours = 36
  }
}

run "a_wrong_dataflow_template" {
  command         = plan
  expect_failures = [var.dataflow_template]
  variables {
    dataflow_template = "shop-prod-terraform/sluice/dataflow/1.json"
  }
}

run "a_dataflow_template_that_is_a_bucket" {
  command         = plan
  expect_failures = [var.dataflow_template]
  variables {
    dataflow_template = "gs://shop-prod-terraform/"
  }
}

run "no_dataset" {
  command         = plan
  expect_failures = [var.datasets]
  variables {
    datasets = []
  }
}

run "a_wrong_datasets" {
  command         = plan
  expect_failures = [var.datasets]
  variables {
    datasets = ["bigquery://shop/sales"]
  }
}

run "a_wrong_event_subscribers" {
  command         = plan
  expect_failures = [var.event_subscribers]
  variables {
    event_subscribers = ["allAuthenticatedUsers"]
  }
}

run "an_image_without_a_tag" {
  command         = plan
  expect_failures = [var.image]
  variables {
    image = "europe-docker.pkg.dev/shop/sluice/sluice"
  }
}

run "the_latest_image" {
  command         = plan
  expect_failures = [var.image]
  variables {
    image = "europe-docker.pkg.dev/shop/sluice/sluice:latest"
  }
}

run "a_wrong_ingress" {
  command         = plan
  expect_failures = [var.ingress]
  variables {
    ingress = "all"
  }
}

run "a_wrong_inline_callers" {
  command         = plan
  expect_failures = [var.inline_callers]
  variables {
    inline_callers = ["user:ann@example.com"]
  }
}

run "a_wrong_job_buckets" {
  command         = plan
  expect_failures = [var.job_buckets]
  variables {
    job_buckets = ["s3://partner-drop/in"]
  }
}

run "a_wrong_job_files" {
  command         = plan
  expect_failures = [var.job_files]
  variables {
    job_files = ["data"]
  }
}

run "a_wrong_job_hosts" {
  command         = plan
  expect_failures = [var.job_hosts]
  variables {
    job_hosts = ["postgres://db.example.com"]
  }
}

run "a_wrong_job_task_sizes" {
  command         = plan
  expect_failures = [var.job_task_sizes]
  variables {
    job_task_sizes = ["giant"]
  }
}

run "a_size_twice" {
  command         = plan
  expect_failures = [var.job_task_sizes]
  variables {
    job_task_sizes = ["large", "large"]
  }
}

run "the_usual_size_once_more" {
  command         = plan
  expect_failures = [var.job_task_sizes]
  variables {
    job_task_sizes = ["small"]
  }
}

run "a_job_whose_name_is_too_long" {
  command         = plan
  expect_failures = [var.job_task_sizes]
  variables {
    delayed_tasks  = true
    job_task_sizes = ["for-the-very-widest-rows1"]
    name           = "the-warehouse-of-all"
    task_sizes = {
      small                     = { cpu = 1, memory = "2Gi" }
      for-the-very-widest-rows1 = { cpu = 1, memory = "2Gi" }
    }
  }
}

run "a_wrong_jobs_folder" {
  command         = plan
  expect_failures = [var.jobs_folder]
  variables {
    jobs_folder = "./tests/absent"
  }
}

run "a_wrong_kms_key" {
  command         = plan
  expect_failures = [var.kms_key]
  variables {
    kms_key = "sluice"
  }
}

run "a_wrong_labels" {
  command         = plan
  expect_failures = [var.labels]
  variables {
    labels = { Team = "sales" }
  }
}

run "a_label_that_is_set_already" {
  command         = plan
  expect_failures = [var.labels]
  variables {
    labels = { component = "x" }
  }
}

run "a_wrong_load_patience_hours" {
  command         = plan
  expect_failures = [var.load_patience_hours]
  variables {
    load_patience_hours = 0
  }
}

run "a_wrong_loader_size" {
  command         = plan
  expect_failures = [var.loader_size]
  variables {
    loader_size = { cpu = 3 }
  }
}

run "no_request_at_once" {
  command         = plan
  expect_failures = [var.loader_size]
  variables {
    loader_size = { concurrency = 0 }
  }
}

run "a_wrong_log_filter" {
  command         = plan
  expect_failures = [var.log_filter]
  variables {
    log_filter = "info; debug"
  }
}

run "a_wrong_login_hosts" {
  command         = plan
  expect_failures = [var.login_hosts]
  variables {
    login_hosts = ["postgres://db.example.com"]
  }
}

run "tokens_for_every_server" {
  command         = plan
  expect_failures = [var.login_hosts]
  variables {
    login_hosts = ["*.example.com"]
  }
}

run "a_wrong_max_parallel_tasks" {
  command         = plan
  expect_failures = [var.max_parallel_tasks]
  variables {
    max_parallel_tasks = 0
  }
}

run "a_wrong_name" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "Sluice"
  }
}

run "a_wrong_network" {
  command         = plan
  expect_failures = [var.network]
  variables {
    network = { subnetwork = "tasks", egress = "NONE" }
  }
}

run "a_wrong_subnetwork" {
  command         = plan
  expect_failures = [var.network]
  variables {
    network = { subnetwork = "projects/..." }
  }
}

run "a_wrong_notification_channels" {
  command         = plan
  expect_failures = [var.notification_channels]
  variables {
    notification_channels = ["7"]
  }
}

run "a_wrong_part_retention_days" {
  command         = plan
  expect_failures = [var.part_retention_days]
  variables {
    part_retention_days = 0
  }
}

run "a_wrong_paused_jobs" {
  command         = plan
  expect_failures = [var.paused_jobs]
  variables {
    paused_jobs = ["absent"]
  }
}

run "a_wrong_planner_size" {
  command         = plan
  expect_failures = [var.planner_size]
  variables {
    planner_size = { memory = "1 GB" }
  }
}

run "no_instance" {
  command         = plan
  expect_failures = [var.planner_size]
  variables {
    planner_size = { max_instances = 0 }
  }
}

run "a_wrong_planning_deadline_minutes" {
  command         = plan
  expect_failures = [var.planning_deadline_minutes]
  variables {
    planning_deadline_minutes = 10
  }
}

run "a_wrong_project_id" {
  command         = plan
  expect_failures = [var.project_id]
  variables {
    project_id = "Shop"
  }
}

run "a_wrong_publishers" {
  command         = plan
  expect_failures = [var.publishers]
  variables {
    publishers = ["allUsers"]
  }
}

run "a_publisher_whose_email_is_cut_off" {
  command         = plan
  expect_failures = [var.publishers]
  variables {
    publishers = ["serviceAccount:web@shop-prod."]
  }
}

run "a_wrong_region" {
  command         = plan
  expect_failures = [var.region]
  variables {
    region = "europe-west3-a"
  }
}

run "a_wrong_run_deadline_hours" {
  command         = plan
  expect_failures = [var.run_deadline_hours]
  variables {
    run_deadline_hours = 0.5
  }
}

run "a_wrong_run_retention_days" {
  command         = plan
  expect_failures = [var.run_retention_days]
  variables {
    run_retention_days = 14
  }
}

run "a_wrong_source_datasets" {
  command         = plan
  expect_failures = [var.source_datasets]
  variables {
    source_datasets = ["bigquery://web-prod/analytics"]
  }
}

run "all_datasets_of_a_project" {
  command         = plan
  expect_failures = [var.source_datasets]
  variables {
    source_datasets = ["web-prod.*"]
  }
}

run "a_wrong_source_files" {
  command         = plan
  expect_failures = [var.source_files]
  variables {
    source_files = { "/ca.pem" = "shop-ca" }
  }
}

run "two_files_in_one_folder" {
  command         = plan
  expect_failures = [var.source_files]
  variables {
    source_files = { "/certificates/a.pem" = "a", "/certificates/b.pem" = "b" }
  }
}

run "a_file_of_a_secret_by_its_path" {
  command         = plan
  expect_failures = [var.source_files]
  variables {
    source_files = { "/certificates/a.pem" = "projects/p/secrets/a" }
  }
}

run "a_wrong_source_secrets" {
  command         = plan
  expect_failures = [var.source_secrets]
  variables {
    source_secrets = { "SOURCE-URL" = "shop-url" }
  }
}

run "a_variable_of_the_programs" {
  command         = plan
  expect_failures = [var.source_secrets]
  variables {
    source_secrets = { SLUICE_BUCKET = "shop-url" }
  }
}

run "a_password_for_a_secret" {
  command         = plan
  expect_failures = [var.source_secrets]
  variables {
    source_secrets = { SOURCE_URL = "postgres://ann:secret@db/shop" }
  }
}

run "a_wrong_source_tls" {
  command         = plan
  expect_failures = [var.source_tls]
  variables {
    source_tls = "always"
  }
}

run "a_wrong_task_size" {
  command         = plan
  expect_failures = [var.task_size]
  variables {
    task_size = "giant"
  }
}

run "a_wrong_task_sizes" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 3, memory = "1Gi" } }
  }
}

run "a_size_whose_name_is_no_job_name" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 1, memory = "2Gi" }, Large = { cpu = 4, memory = "8Gi" } }
  }
}

run "a_size_with_two_hyphens" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 1, memory = "2Gi" }, extra--large = { cpu = 4, memory = "8Gi" } }
  }
}

run "a_size_that_is_called_delayed" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 1, memory = "2Gi" }, delayed = { cpu = 4, memory = "8Gi" } }
  }
}

run "a_size_that_ends_in_delayed" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 1, memory = "2Gi" }, small-delayed = { cpu = 4, memory = "8Gi" } }
  }
}

run "too_much_memory_for_a_cpu" {
  command         = plan
  expect_failures = [var.task_sizes]
  variables {
    task_sizes = { small = { cpu = 1, memory = "8Gi" } }
  }
}

run "a_wrong_task_timeout_hours" {
  command         = plan
  expect_failures = [var.task_timeout_hours]
  variables {
    task_timeout_hours = 200
  }
}

run "a_wrong_time_zone" {
  command         = plan
  expect_failures = [var.time_zone]
  variables {
    time_zone = "+01:00"
  }
}

run "a_job_file_with_no_yaml" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/no_yaml"
  }
}

run "a_job_file_with_no_target" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/no_target"
  }
}

run "a_job_file_with_bad_schedule" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/bad_schedule"
  }
}

run "a_job_file_with_bad_name" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/bad_name"
  }
}

run "a_job_file_with_other_variable" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/other_variable"
  }
}

run "a_job_file_with_other_size" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    job_task_sizes = ["huge"]
    jobs_folder    = "./tests/refused/other_size"
  }
}

run "a_job_file_with_delay" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/delay"
  }
}

run "a_job_file_with_folder_target" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/folder_target"
  }
}

run "a_job_file_with_no_boolean" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    delayed_tasks = true
    jobs_folder   = "./tests/refused/no_boolean"
  }
}

run "a_job_file_with_other_dataset" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/other_dataset"
  }
}

run "a_job_file_with_other_project" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder = "./tests/refused/other_project"
  }
}

run "a_job_file_with_other_source" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder     = "./tests/refused/other_source"
    source_datasets = ["analytics", "web-prod.events"]
  }
}

run "a_job_file_with_other_source_table" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder     = "./tests/refused/other_source_table"
    source_datasets = ["analytics", "web-prod.events"]
  }
}

run "a_job_file_with_source_project" {
  command         = plan
  expect_failures = [google_storage_bucket_object.job]
  variables {
    jobs_folder     = "./tests/refused/source_project"
    source_datasets = ["web-prod.analytics"]
  }
}

run "a_job_file_with_other_ending" {
  command         = plan
  expect_failures = [google_storage_bucket.jobs]
  variables {
    jobs_folder = "./tests/refused/other_ending"
  }
}

run "part_files_that_a_run_still_needs" {
  command         = plan
  expect_failures = [google_storage_bucket.runs]
  variables {
    part_retention_days = 2
  }
}

run "part_files_that_a_delayed_run_still_needs" {
  command         = plan
  expect_failures = [google_storage_bucket.runs]
  variables {
    delayed_tasks       = true
    part_retention_days = 3
  }
}

run "part_files_that_dataflow_still_needs" {
  command         = plan
  expect_failures = [google_storage_bucket.runs]
  variables {
    dataflow_deadline_hours = 48
    dataflow_template       = "gs://shop-prod-terraform/sluice/dataflow/1.json"
    part_retention_days     = 6
  }
}
