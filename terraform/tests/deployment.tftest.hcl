# What the smallest deployment is made of, and what each variable changes.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_cloud_run_v2_service" {
    defaults = {
      urls = [
        "https://sluice-loader-123456789012.europe-west3.run.app",
        "https://sluice-planner-123456789012.europe-west3.run.app",
      ]
    }
  }
  mock_resource "google_cloud_run_v2_job" {
    defaults = { id = "projects/shop-prod/locations/europe-west3/jobs/sluice-extractor" }
  }
  mock_resource "google_cloud_tasks_queue" {
    defaults = { id = "projects/shop-prod/locations/europe-west3/queues/sluice-runs" }
  }
}

# Some accounts and a job of their own names, so that no other is taken for them.
override_resource {
  target = google_service_account.this["extractor"]
  values = {
    email  = "sluice-extractor@shop-prod.iam.gserviceaccount.com"
    member = "serviceAccount:sluice-extractor@shop-prod.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.this["planner"]
  values = {
    email  = "sluice-planner@shop-prod.iam.gserviceaccount.com"
    member = "serviceAccount:sluice-planner@shop-prod.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.this["dataflow"]
  values = {
    email  = "sluice-dataflow@shop-prod.iam.gserviceaccount.com"
    member = "serviceAccount:sluice-dataflow@shop-prod.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_cloud_run_v2_job.extractor["sluice-extractor"]
  values = { id = "projects/shop-prod/locations/europe-west3/jobs/the-usual-one" }
}

variables {
  project_id     = "shop-prod"
  region         = "europe-west3"
  image          = "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice:0.1.0"
  datasets       = ["sales"]
  source_secrets = { SOURCE_URL = "shop-url" }
}

run "five_lines_are_enough" {
  command = apply

  assert {
    condition     = output.planner_url == "https://sluice-planner-123456789012.europe-west3.run.app"
    error_message = "The planner has another URL: ${output.planner_url}."
  }
  assert {
    condition     = google_cloud_run_v2_service.planner.custom_audiences == tolist([output.planner_url])
    error_message = "Tokens for the planner's URL are not for the planner."
  }
  assert {
    condition     = google_cloud_run_v2_service.planner.template[0].timeout == "900s"
    error_message = "The planner is cut off before a planning is done."
  }
  assert {
    condition     = google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].timeout == "86400s"
    error_message = "An execution by hand ends before the run does."
  }
  assert {
    condition = alltrue([
      for service in [google_cloud_run_v2_service.planner, google_cloud_run_v2_service.loader] :
      service.template[0].scaling[0].min_instance_count == 0
      && service.template[0].containers[0].resources[0].cpu_idle
      && !service.invoker_iam_disabled
    ])
    error_message = "A service costs something between two runs, or is open to everybody."
  }
  assert {
    condition     = length(google_cloud_scheduler_job.job) == 0 && length(google_storage_bucket_object.job) == 0
    error_message = "Something is scheduled without a job file."
  }
  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.runs, google_storage_bucket.jobs] :
      bucket.location == "EUROPE-WEST3" || bucket.location == "europe-west3"
    ])
    error_message = "A bucket lies elsewhere."
  }
  assert {
    condition = !strcontains(output.commands, "null") && alltrue([
      for place, line in split("\n", trimsuffix(output.commands, "\n")) :
      place % 2 == 0 ? startswith(line, "# ") : can(regex("^(export|gcloud|sluice) ", line))
    ])
    error_message = "A command of the outputs cannot be copied, or is not explained."
  }
  assert {
    condition = contains(
      split("\n", output.commands),
      "sluice status RUN --watch --planner https://sluice-planner-123456789012.europe-west3.run.app",
    )
    error_message = "The command that follows a run needs more than the right to call the planner."
  }
  assert {
    condition     = output.image == "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice:0.1.0"
    error_message = "Another image is deployed: ${output.image}."
  }
}

run "only_runs_and_their_requests_expire" {
  command = plan

  assert {
    condition = sort(flatten([
      for rule in google_storage_bucket.runs.lifecycle_rule : rule.condition[*].matches_prefix
    ])) == tolist(["requests/", "runs/", "runs/"])
    error_message = "A rule deletes something else than runs and their requests."
  }
  assert {
    condition = alltrue([
      for rule in google_storage_bucket.runs.lifecycle_rule : one(rule.condition[*].age) < (
        contains(one(rule.condition[*].matches_prefix), "requests/") ? 90 : 91
      )
    ])
    error_message = "The key of a request outlives its run."
  }
}

run "job_files_are_uploaded_and_scheduled" {
  command = plan

  variables {
    jobs_folder = "./tests/jobs"
    time_zone   = "Europe/Berlin"
  }

  assert {
    condition     = sort(keys(google_storage_bucket_object.job)) == tolist(["by_hand", "orders"])
    error_message = "Not every job file is uploaded."
  }
  assert {
    condition     = google_storage_bucket_object.job["orders"].name == "orders.yaml"
    error_message = "The planner looks for another name."
  }
  assert {
    condition     = sort(keys(google_cloud_scheduler_job.job)) == tolist(["orders"])
    error_message = "A job without a schedule has one."
  }
  assert {
    condition = (
      google_cloud_scheduler_job.job["orders"].schedule == "0 3 * * *"
      && google_cloud_scheduler_job.job["orders"].time_zone == "Europe/Berlin"
      && !google_cloud_scheduler_job.job["orders"].paused
    )
    error_message = "The schedule is not that of the file."
  }
  assert {
    condition = (
      jsondecode(base64decode(google_cloud_scheduler_job.job["orders"].http_target[0].body))
      == { job = "orders" }
    )
    error_message = "The call asks for something else."
  }
}

run "a_paused_job_keeps_its_schedule" {
  command = plan

  variables {
    jobs_folder = "./tests/jobs"
    paused_jobs = ["orders"]
  }

  assert {
    condition     = google_cloud_scheduler_job.job["orders"].paused
    error_message = "The job is not paused."
  }
}

run "the_source_is_reached_by_socket_or_network" {
  command = plan

  variables {
    cloud_sql_instances = ["shop-prod:europe-west3:shop"]
    network             = { subnetwork = "projects/shop-prod/regions/europe-west3/subnetworks/tasks" }
    source_files        = { "/certificates/shop/ca.pem" = "shop-ca" }
  }

  assert {
    condition = alltrue([
      for containers in [
        google_cloud_run_v2_service.planner.template[0].containers,
        google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].containers,
      ] :
      sort(containers[0].volume_mounts[*].mount_path) == tolist(["/certificates/shop", "/cloudsql"])
    ])
    error_message = "Sockets or certificates are not where jobs name them."
  }
  assert {
    condition = (
      google_cloud_run_v2_service.planner.template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY"
      && google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY"
      && length(google_cloud_run_v2_service.loader.template[0].vpc_access) == 0
    )
    error_message = "The network is not that of the planner and the tasks, or is the loader's too."
  }
  assert {
    condition = alltrue([
      for member in google_project_iam_member.cloud_sql :
      strcontains(member.condition[0].expression, "projects/shop-prod/instances/shop")
    ])
    error_message = "A right to Cloud SQL is not bound to the instance."
  }
  assert {
    condition     = length(google_secret_manager_secret_iam_member.source) == 4
    error_message = "Two secrets have two readers, each on the secret itself."
  }
}

run "only_what_is_listed_may_be_named" {
  command = plan

  variables {
    callers             = ["user:ann@example.com"]
    cloud_sql_instances = ["shop-prod:europe-west3:shop"]
    inline_callers      = ["ann@example.com"]
    job_buckets         = ["s3://partner-drop", "gs://lake"]
    job_hosts           = ["db.example.com"]
    source_tls          = "verify-full"
  }

  assert {
    condition = tomap({
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name => env.value
      if contains([
        "SLUICE_INLINE_CALLERS", "SLUICE_JOB_BUCKETS", "SLUICE_JOB_HOSTS", "SLUICE_JOB_VARIABLES",
        "SLUICE_SOURCE_TLS",
      ], env.name)
      }) == tomap({
      SLUICE_INLINE_CALLERS = "ann@example.com"
      SLUICE_JOB_BUCKETS    = "gs://lake,s3://partner-drop"
      SLUICE_JOB_HOSTS      = "db.example.com,/cloudsql/shop-prod:europe-west3:shop"
      SLUICE_JOB_VARIABLES  = "SOURCE_URL"
      SLUICE_SOURCE_TLS     = "verify-full"
    })
    error_message = "The planner is told other rules."
  }
  assert {
    condition = toset([
      for member in google_storage_bucket_iam_member.source : "${member.bucket} ${member.role}"
    ]) == toset(["lake roles/storage.objectViewer"]) && length(google_storage_bucket_iam_member.source) == 3
    error_message = "Planner, tasks and loader may not read the files, or more than those."
  }
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.callers) == 2
    error_message = "A caller may not call both services."
  }
}

run "a_group_is_checked_by_cloud_run_alone" {
  command = plan

  variables {
    callers = ["group:data@example.com", "user:ann@example.com"]
  }

  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name == "SLUICE_CALLERS"
    ])
    error_message = "The planner would refuse the members of the group."
  }
}

run "the_tasks_have_the_size_that_is_chosen" {
  command = plan

  variables {
    max_parallel_tasks = 8
    task_size          = "large"
    task_timeout_hours = 2
  }

  assert {
    condition = google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].containers[0].resources[0].limits == tomap({
      cpu = "4", memory = "8Gi"
    })
    error_message = "The tasks have another size."
  }
  assert {
    condition = (
      one([
        for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.value
        if env.name == "SLUICE_PARALLELISM"
      ]) == "8"
      && google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].timeout == "7200s"
    )
    error_message = "There are other limits."
  }
}

run "job_files_ask_for_no_other_tasks_by_default" {
  command = plan

  assert {
    condition     = keys(google_cloud_run_v2_job.extractor) == ["sluice-extractor"]
    error_message = "There are other jobs than that of the usual tasks."
  }
  assert {
    condition = alltrue([
      for service in [google_cloud_run_v2_service.planner, google_cloud_run_v2_service.loader] : one([
        for env in service.template[0].containers[0].env : env.value if env.name == "SLUICE_EXTRACTOR_JOBS"
      ]) == "small=sluice-extractor"
    ])
    error_message = "A service knows other kinds of tasks than the usual one."
  }
  assert {
    condition = (
      strcontains(google_logging_project_sink.executions.filter, " AND resource.labels.job_name=\"sluice-extractor\" AND ")
      && strcontains(google_monitoring_dashboard.this.dashboard_json, "resource.label.job_name=\\\"sluice-extractor\\\"")
    )
    error_message = "The filters are not about the usual job alone."
  }
}

run "each_kind_of_task_has_a_job" {
  command = plan

  variables {
    delayed_tasks  = true
    job_task_sizes = ["large", "huge"]
    jobs_folder    = "./tests/kinds"
  }

  assert {
    condition = {
      for name, job in google_cloud_run_v2_job.extractor : name => join(" ", concat(
        [job.template[0].template[0].containers[0].resources[0].limits.cpu, job.template[0].template[0].timeout],
        job.template[0].delay_execution == true ? ["delayed", job.launch_stage] : [],
      ))
      } == {
      "sluice-extractor"               = "1 86400s"
      "sluice-extractor-delayed"       = "1 43200s delayed BETA"
      "sluice-extractor-huge"          = "8 86400s"
      "sluice-extractor-huge-delayed"  = "8 43200s delayed BETA"
      "sluice-extractor-large"         = "4 86400s"
      "sluice-extractor-large-delayed" = "4 43200s delayed BETA"
    }
    error_message = "A kind of task has no job, or another size, delay or timeout."
  }
  assert {
    condition     = alltrue([for name, job in google_cloud_run_v2_job.extractor : job.name == name])
    error_message = "A job has another name than the services are told."
  }
  assert {
    condition = alltrue([
      for service in [google_cloud_run_v2_service.planner, google_cloud_run_v2_service.loader] : one([
        for env in service.template[0].containers[0].env : env.value if env.name == "SLUICE_EXTRACTOR_JOBS"
        ]) == join(",", [
        "delayed=sluice-extractor-delayed",
        "huge=sluice-extractor-huge",
        "huge-delayed=sluice-extractor-huge-delayed",
        "large=sluice-extractor-large",
        "large-delayed=sluice-extractor-large-delayed",
        "small=sluice-extractor",
        "small-delayed=sluice-extractor-delayed",
      ])
    ])
    error_message = "A service knows other kinds of tasks."
  }
  assert {
    condition = !anytrue(flatten([
      for job in google_cloud_run_v2_job.extractor : [
        for env in job.template[0].template[0].containers[0].env : startswith(env.name, "SLUICE_EXTRACTOR")
      ]
    ]))
    error_message = "A task is told about jobs, which it has no right to start."
  }
  assert {
    condition = toset([
      for bound in google_cloud_run_v2_job_iam_member.extractor : "${bound.name} ${bound.role}"
      ]) == toset([
      for pair in setproduct(
        keys(google_cloud_run_v2_job.extractor), ["roles/run.jobsExecutorWithOverrides", "roles/run.viewer"]
      ) : "${pair[0]} ${pair[1]}"
    ]) && length(google_cloud_run_v2_job_iam_member.extractor) == 24
    error_message = "A launcher may not start, watch or end the executions of a job."
  }
  assert {
    condition = alltrue([
      for name, _ in google_cloud_run_v2_job.extractor :
      strcontains(google_logging_project_sink.executions.filter, "resource.labels.job_name=\"${name}\"")
      && strcontains(google_monitoring_alert_policy.log["source_unreachable"].conditions[0].condition_matched_log[0].filter, "resource.labels.job_name=\"${name}\"")
      && strcontains(google_monitoring_dashboard.this.dashboard_json, "\\\"${name}\\\"")
    ])
    error_message = "The sink, an alert or a chart leaves a job out."
  }
  assert {
    condition = strcontains(
      google_logging_project_sink.executions.filter,
      " AND (resource.labels.job_name=\"sluice-extractor\" OR "
    )
    error_message = "The names are alternatives to the rest of the filter."
  }
}

run "delayed_tasks_keep_a_shorter_timeout" {
  command = plan

  variables {
    delayed_tasks      = true
    task_timeout_hours = 2
  }

  assert {
    condition = alltrue([
      for job in google_cloud_run_v2_job.extractor : job.template[0].template[0].timeout == "7200s"
    ])
    error_message = "A delayed task may take longer than the others."
  }
}

run "the_executions_of_a_run_are_of_the_usual_job" {
  command = apply

  variables {
    delayed_tasks  = true
    job_task_sizes = ["huge"]
  }

  assert {
    condition = alltrue([
      for service in [google_cloud_run_v2_service.planner, google_cloud_run_v2_service.loader] : one([
        for env in service.template[0].containers[0].env : env.value if env.name == "SLUICE_EXTRACTOR_JOB"
      ]) == "projects/shop-prod/locations/europe-west3/jobs/the-usual-one"
    ])
    error_message = "A service starts tasks of another kind for a job file that asks for none."
  }
  assert {
    condition = (
      output.extractor_job == "projects/shop-prod/locations/europe-west3/jobs/the-usual-one"
      && [for line in split("\n", output.commands) : line if startswith(line, "gcloud run jobs execute ")] == [join(" ", [
        "gcloud run jobs execute sluice-extractor --project=shop-prod --region=europe-west3",
        "--update-env-vars=SLUICE_MANIFEST=gs://shop-prod-sluice/runs/RUN/manifest.json",
      ])]
    )
    error_message = "The outputs are about another job."
  }
}

run "instances_are_logged_in_to_without_a_password" {
  command = apply

  variables {
    cloud_sql_iam_logins = ["shop-prod:europe-west3:shop", "other-project:europe-west3:crm"]
    cloud_sql_instances  = ["shop-prod:europe-west3:shop"]
  }

  assert {
    condition = toset([
      for bound in google_project_iam_member.cloud_sql_login :
      "${bound.project}: ${bound.role}: ${split("@", bound.member)[0]}: ${bound.condition[0].expression}"
      ]) == toset(flatten([
        for reader in ["extractor", "planner"] : [
          for name, project in { crm = "other-project", shop = "shop-prod" } : join(": ", [
            project,
            "roles/cloudsql.instanceUser",
            "serviceAccount:sluice-${reader}",
            "resource.service == \"sqladmin.googleapis.com\" && resource.name == \"projects/${project}/instances/${name}\"",
          ])
        ]
    ]))
    error_message = "An account may not log in, or may log in to another instance."
  }
  assert {
    condition = toset([
      for user in google_sql_user.source : "${user.type} ${user.project} ${user.instance} ${user.name}"
      ]) == toset([
      "CLOUD_IAM_SERVICE_ACCOUNT other-project crm sluice-extractor@shop-prod.iam",
      "CLOUD_IAM_SERVICE_ACCOUNT other-project crm sluice-planner@shop-prod.iam",
      "CLOUD_IAM_SERVICE_ACCOUNT shop-prod shop sluice-extractor@shop-prod.iam",
      "CLOUD_IAM_SERVICE_ACCOUNT shop-prod shop sluice-planner@shop-prod.iam",
    ])
    error_message = "An instance does not know an account as a user."
  }
  assert {
    condition = output.database_grants == join("", [
      for instance in ["other-project:europe-west3:crm", "shop-prod:europe-west3:shop"] : join("\n", [
        "-- ${instance}",
        "GRANT pg_read_all_data TO \"sluice-extractor@shop-prod.iam\", \"sluice-planner@shop-prod.iam\";",
        "",
      ])
    ])
    error_message = "The owner of an instance is told other SQL."
  }
  assert {
    condition = (
      google_cloud_run_v2_service.planner.template[0].volumes[0].cloud_sql_instance[0].instances
      == toset(["shop-prod:europe-west3:shop"])
    ) && length(google_project_iam_member.cloud_sql) == 2
    error_message = "A login opens a socket, or takes one away."
  }
  assert {
    condition     = contains(keys(google_project_service.this), "sqladmin.googleapis.com")
    error_message = "The API of Cloud SQL is not switched on."
  }
}

run "a_token_is_for_the_instances_and_the_hosts_that_are_named" {
  command = plan

  variables {
    cloud_sql_iam_logins = ["shop-prod:europe-west3:shop", "other-project:europe-west3:erp"]
    cloud_sql_instances  = ["shop-prod:europe-west3:shop", "other-project:europe-west3:crm"]
    job_hosts            = ["db.example.com", "10.1.2.3"]
    login_hosts          = ["10.1.2.4:5433", "10.1.2.3"]
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name => env.value
      if contains(["SLUICE_JOB_HOSTS", "SLUICE_LOGIN_HOSTS"], env.name)
      } == {
      SLUICE_JOB_HOSTS = join(",", [
        "10.1.2.3", "10.1.2.4:5433", "db.example.com",
        "/cloudsql/other-project:europe-west3:crm", "/cloudsql/shop-prod:europe-west3:shop",
      ])
      SLUICE_LOGIN_HOSTS = "10.1.2.3,10.1.2.4:5433,/cloudsql/shop-prod:europe-west3:shop"
    }
    error_message = "Other servers get a token of the planner, or a server of login_hosts may not be named."
  }
  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_service.loader.template[0].containers[0].env : env.name == "SLUICE_LOGIN_HOSTS"
    ])
    error_message = "The loader is told of logins, and has none."
  }
}

run "no_server_gets_a_token_by_default" {
  command = plan

  variables {
    cloud_sql_iam_logins = ["shop-prod:europe-west3:erp"]
    cloud_sql_instances  = ["shop-prod:europe-west3:shop"]
    job_hosts            = ["*"]
  }

  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name == "SLUICE_LOGIN_HOSTS"
    ])
    error_message = "A server that is not named for it gets a token."
  }
}

run "a_login_alone_needs_the_api_and_no_socket" {
  command = plan

  variables {
    cloud_sql_iam_logins = ["shop-prod:europe-west3:shop"]
  }

  assert {
    condition     = contains(keys(google_project_service.this), "sqladmin.googleapis.com")
    error_message = "The API of Cloud SQL is not switched on."
  }
  assert {
    condition = (
      length(google_project_iam_member.cloud_sql) == 0
      && length(google_cloud_run_v2_service.planner.template[0].volumes) == 0
    )
    error_message = "There is a socket that nobody asked for."
  }
}

run "datasets_are_read_where_they_lie_and_paid_for_here" {
  command = apply

  variables {
    source_datasets = ["web-prod.analytics", "events", "shop-prod.events"]
  }

  assert {
    condition = toset([
      for key, bound in google_bigquery_dataset_iam_member.source :
      "${split(" ", key)[0]}: ${bound.role}: ${bound.project}.${bound.dataset_id}"
      if bound.member == google_service_account.this[split(" ", key)[0]].member
      ]) == toset(flatten([
        for account in ["extractor", "loader", "planner"] : [
          for dataset in ["shop-prod.events", "web-prod.analytics"] :
          "${account}: roles/bigquery.dataViewer: ${dataset}"
        ]
    ])) && length(google_bigquery_dataset_iam_member.source) == 6
    error_message = "A program may not read a dataset, or may do something else with it."
  }
  assert {
    condition = toset([
      for key, bound in google_project_iam_member.bigquery_source :
      "${split(" ", key)[0]}: ${bound.role}: ${bound.project}"
      if bound.member == google_service_account.this[split(" ", key)[0]].member
      ]) == toset([
      "extractor: roles/bigquery.jobUser: shop-prod",
      "extractor: roles/bigquery.readSessionUser: shop-prod",
      "planner: roles/bigquery.jobUser: shop-prod",
      "planner: roles/bigquery.readSessionUser: shop-prod",
    ]) && length(google_project_iam_member.bigquery_source) == 4
    error_message = "Reading is not paid for by the deployment's project, or by another one too."
  }
  assert {
    condition     = keys(google_project_iam_member.bigquery) == ["shop-prod"]
    error_message = "The loader may start jobs where nothing is loaded."
  }
  assert {
    condition = one([
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.value
      if env.name == "SLUICE_JOB_DATASETS"
    ]) == "shop-prod.events,web-prod.analytics"
    error_message = "Jobs may name other datasets than the accounts may read."
  }
  assert {
    condition     = contains(keys(google_project_service.this), "bigquerystorage.googleapis.com")
    error_message = "The API of the streams is not switched on."
  }
}

run "a_dataset_of_a_project_of_a_domain" {
  command = plan

  variables {
    project_id      = "example.com:shop-prod"
    source_datasets = ["events"]
  }

  assert {
    condition = alltrue([
      for bound in google_bigquery_dataset_iam_member.source :
      bound.project == "example.com:shop-prod" && bound.dataset_id == "events"
    ])
    error_message = "The dataset is taken for another project's."
  }
}

run "no_dataset_is_read_by_default" {
  command = plan

  assert {
    condition = (
      length(google_bigquery_dataset_iam_member.source) == 0
      && length(google_project_iam_member.bigquery_source) == 0
      && !contains(keys(google_project_service.this), "bigquerystorage.googleapis.com")
    )
    error_message = "Something is made for a source that nobody named."
  }
  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name == "SLUICE_JOB_DATASETS"
    ])
    error_message = "A dataset may be read that is not named."
  }
}

run "job_files_read_the_datasets_that_are_listed" {
  command = plan

  variables {
    jobs_folder     = "./tests/from_bigquery"
    source_datasets = ["events", "web-prod.analytics"]
  }

  assert {
    condition = sort(keys(google_storage_bucket_object.job)) == tolist([
      "by_variable", "elsewhere", "in_project", "in_url", "query",
    ])
    error_message = "Not every job file is uploaded."
  }
}

run "large_tables_are_deduplicated_by_dataflow" {
  command = apply

  variables {
    dataflow_above          = { rows = 2000000000 }
    dataflow_deadline_hours = 36
    dataflow_template       = "gs://shop-prod-terraform/sluice/dataflow/1.json"
    datasets                = ["sales", "other-project.crm"]
    network                 = { subnetwork = "projects/hub-prod/regions/europe-west3/subnetworks/tasks" }
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_service.loader.template[0].containers[0].env : env.name => env.value
      if startswith(env.name, "SLUICE_DATAFLOW")
      } == {
      SLUICE_DATAFLOW_ACCOUNT    = "sluice-dataflow@shop-prod.iam.gserviceaccount.com"
      SLUICE_DATAFLOW_DEADLINE   = "36h"
      SLUICE_DATAFLOW_LOCATION   = "projects/shop-prod/locations/europe-west3"
      SLUICE_DATAFLOW_SUBNETWORK = "https://www.googleapis.com/compute/v1/projects/hub-prod/regions/europe-west3/subnetworks/tasks"
      SLUICE_DATAFLOW_TEMPLATE   = "gs://shop-prod-terraform/sluice/dataflow/1.json"
    }
    error_message = "The loader launches something else, or elsewhere, or as another account."
  }
  assert {
    condition = {
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env : env.name => env.value
      if startswith(env.name, "SLUICE_DATAFLOW")
      } == {
      SLUICE_DATAFLOW_ABOVE_ROWS = "2000000000"
      SLUICE_DATAFLOW_ACCOUNT    = "sluice-dataflow@shop-prod.iam.gserviceaccount.com"
      SLUICE_DATAFLOW_LOCATION   = "projects/shop-prod/locations/europe-west3"
      SLUICE_DATAFLOW_SUBNETWORK = "https://www.googleapis.com/compute/v1/projects/hub-prod/regions/europe-west3/subnetworks/tasks"
      SLUICE_DATAFLOW_TEMPLATE   = "gs://shop-prod-terraform/sluice/dataflow/1.json"
    }
    error_message = "The planner plans for something else."
  }
  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_job.extractor["sluice-extractor"].template[0].template[0].containers[0].env :
      startswith(env.name, "SLUICE_DATAFLOW")
    ])
    error_message = "A task is told about Dataflow, which it has no right to use."
  }
  assert {
    condition = toset(concat(
      [for bound in google_project_iam_member.dataflow : "${bound.role} on ${bound.project}" if bound.member == google_service_account.this["dataflow"].member],
      [for bound in google_project_iam_member.dataflow_bigquery : "${bound.role} on ${bound.project}" if bound.member == google_service_account.this["dataflow"].member],
      [for bound in google_storage_bucket_iam_member.runs : "${bound.role} on ${bound.bucket}" if bound.member == google_service_account.this["dataflow"].member],
      [for bound in google_bigquery_dataset_iam_member.target : "${bound.role} on ${bound.project}.${bound.dataset_id}" if bound.member == google_service_account.this["dataflow"].member],
      [
        for bound in google_artifact_registry_repository_iam_member.dataflow :
        "${bound.role} on ${bound.project} ${bound.location} ${bound.repository}" if bound.member == google_service_account.this["dataflow"].member
      ],
      )) == toset([
      "roles/artifactregistry.reader on shop-prod europe-west3 sluice",
      "roles/bigquery.dataEditor on other-project.crm",
      "roles/bigquery.dataEditor on shop-prod.sales",
      "roles/bigquery.jobUser on other-project",
      "roles/bigquery.jobUser on shop-prod",
      "roles/dataflow.worker on shop-prod",
      "roles/storage.objectUser on shop-prod-sluice",
    ])
    error_message = "The machines may do something else than their work."
  }
  assert {
    condition = (
      google_project_iam_member.dataflow["loader"].role == google_project_iam_custom_role.dataflow["loader"].id
      && google_project_iam_member.dataflow["loader"].project == "shop-prod"
      && alltrue([
        for permission in google_project_iam_custom_role.dataflow["loader"].permissions :
        startswith(permission, "dataflow.")
      ])
      && google_project_iam_member.dataflow["loader"].member == google_service_account.this["loader"].member
      && google_service_account_iam_member.dataflow["loader"].service_account_id == google_service_account.this["dataflow"].name
      && google_service_account_iam_member.dataflow["loader"].member == google_service_account.this["loader"].member
    )
    error_message = "The loader may not launch a job, or not as the account of the machines."
  }
  assert {
    condition = (
      google_storage_bucket_iam_member.dataflow_template["loader"].bucket == "shop-prod-terraform"
      && google_storage_bucket_iam_member.dataflow_template["loader"].role == "roles/storage.objectViewer"
      && google_storage_bucket_iam_member.dataflow_template["loader"].condition[0].expression
      == "resource.name.startsWith(\"projects/_/buckets/shop-prod-terraform/objects/sluice/dataflow/\")"
    )
    error_message = "The loader may not read the template, or reads what lies beside it."
  }
  assert {
    condition     = length(setsubtract(["compute.googleapis.com", "dataflow.googleapis.com"], keys(google_project_service.this))) == 0
    error_message = "The APIs that a job of Dataflow needs are not switched on."
  }
  assert {
    condition     = output.dataflow_template == "gs://shop-prod-terraform/sluice/dataflow/1.json"
    error_message = "A person who calls Terraform does not know the template."
  }
}

run "dataflow_without_a_network_has_the_projects_own" {
  command = plan

  variables {
    dataflow_template = "gs://templates/1.json"
    image             = "registry.example.com/sluice/sluice:0.1.0"
  }

  assert {
    condition = !anytrue([
      for env in google_cloud_run_v2_service.loader.template[0].containers[0].env :
      contains(["SLUICE_DATAFLOW_DEADLINE", "SLUICE_DATAFLOW_SUBNETWORK"], env.name)
      ]) && !anytrue([
      for env in google_cloud_run_v2_service.planner.template[0].containers[0].env :
      startswith(env.name, "SLUICE_DATAFLOW_ABOVE")
    ])
    error_message = "A program is told what nobody has set."
  }
  assert {
    condition = (
      google_storage_bucket_iam_member.dataflow_template["loader"].condition[0].expression
      == "resource.name.startsWith(\"projects/_/buckets/templates/objects/\")"
    )
    error_message = "A template that is in no folder cannot be read."
  }
  assert {
    condition     = length(google_artifact_registry_repository_iam_member.dataflow) == 0
    error_message = "A repository is opened that is not one of Artifact Registry."
  }
}

run "a_subnet_of_the_deployment_is_named_in_short" {
  command = plan

  variables {
    dataflow_template = "gs://templates/1.json"
    network           = { subnetwork = "tasks" }
  }

  assert {
    condition = one([
      for env in google_cloud_run_v2_service.loader.template[0].containers[0].env : env.value
      if env.name == "SLUICE_DATAFLOW_SUBNETWORK"
    ]) == "regions/europe-west3/subnetworks/tasks"
    error_message = "Dataflow does not take this name of a subnet."
  }
}

run "the_repository_of_a_project_of_a_domain" {
  command = plan

  variables {
    dataflow_template = "gs://templates/1.json"
    image             = "europe-docker.pkg.dev/example.com/shop-prod/sluice/sluice:0.1.0"
  }

  assert {
    condition = [
      for bound in google_artifact_registry_repository_iam_member.dataflow :
      "${bound.project} ${bound.location} ${bound.repository}"
    ] == ["example.com:shop-prod europe sluice"]
    error_message = "Another repository is opened."
  }
}

run "nothing_of_dataflow_is_made_by_default" {
  command = plan

  variables {
    network = { subnetwork = "tasks" }
  }

  assert {
    condition = (
      !contains(keys(google_service_account.this), "dataflow")
      && length(google_project_iam_custom_role.dataflow) == 0
      && length(google_project_iam_member.dataflow) == 0
      && length(google_project_iam_member.dataflow_bigquery) == 0
      && length(google_service_account_iam_member.dataflow) == 0
      && length(google_storage_bucket_iam_member.dataflow_template) == 0
      && length(google_artifact_registry_repository_iam_member.dataflow) == 0
      && !anytrue([for key in keys(google_storage_bucket_iam_member.runs) : startswith(key, "dataflow")])
      && !anytrue([for key in keys(google_bigquery_dataset_iam_member.target) : startswith(key, "dataflow")])
      && !contains(keys(google_project_service.this), "dataflow.googleapis.com")
    )
    error_message = "Something of Dataflow is made, and nobody asked for it."
  }
  assert {
    condition = !anytrue(flatten([
      for service in [google_cloud_run_v2_service.planner, google_cloud_run_v2_service.loader] : [
        for env in service.template[0].containers[0].env : startswith(env.name, "SLUICE_DATAFLOW")
      ]
    ]))
    error_message = "A service is told of Dataflow, and nobody asked for it."
  }
}

run "passwords_are_usual" {
  command = plan

  assert {
    condition = (
      length(google_sql_user.source) == 0 && length(google_project_iam_member.cloud_sql_login) == 0
      && output.database_grants == ""
      && !contains(keys(google_project_service.this), "sqladmin.googleapis.com")
    )
    error_message = "Something of Cloud SQL is made without an instance."
  }
}

run "costs_are_seen" {
  command = plan

  assert {
    condition = endswith(
      google_monitoring_alert_policy.log["above_plan"].conditions[0].condition_matched_log[0].filter,
      "resource.labels.service_name=\"sluice-loader\" AND resource.labels.location=\"europe-west3\" AND jsonPayload.message=\"a run cost more than its plan\""
      ) && alltrue([
        for word in ["`dollars`", "`dollars_planned`", "`retries`", "`launches`", "`sluice status`", "`ANALYZE`", "- job: ", "- run: "] :
        strcontains(google_monitoring_alert_policy.log["above_plan"].documentation[0].content, word)
    ])
    error_message = "A run that costs more than its plan is not told, or not what to do."
  }
  assert {
    condition = (
      google_logging_metric.figures["dollars"].value_extractor == "EXTRACT(jsonPayload.dollars)"
      && google_logging_metric.figures["dollars"].metric_descriptor[0].unit == "{USD}"
    )
    error_message = "There is no figure of what a run cost."
  }
  assert {
    condition = alltrue([
      for figure in keys(google_logging_metric.figures) :
      strcontains(google_monitoring_dashboard.this.dashboard_json, "logging.googleapis.com/user/sluice/${figure}\\\"")
    ])
    error_message = "A figure has no chart."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) % 2 == 0
    error_message = "The last row of charts has a gap."
  }
}

run "alerts_are_sent" {
  command = apply

  variables {
    alert_emails          = ["etl@example.com"]
    notification_channels = ["projects/shop-prod/notificationChannels/7"]
  }

  assert {
    condition = alltrue([
      for alert in google_monitoring_alert_policy.log : length(alert.notification_channels) == 2
    ])
    error_message = "An alert is sent to nobody."
  }
  assert {
    condition = toset(keys(google_monitoring_alert_policy.log)) == toset([
      "above_plan", "dropped_message", "gave_up", "internal_error", "launched_again", "not_launched", "nulls",
      "run_failed", "source_unreachable",
    ])
    error_message = "There are other alerts."
  }
}
