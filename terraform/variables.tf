variable "alert_emails" {
  description = "Addresses that alerts are sent to."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s:,]+@([^@\\s:,.]+\\.)+[^@\\s:,.]+$", email))])
    error_message = "Each of alert_emails is an address, such as `team@example.com`, without `user:`."
  }
}

variable "bucket_location" {
  description = "Where the buckets lie: that of the datasets, unless these lie in `US`. The region, if null."
  type        = string
  default     = null
  validation {
    condition     = var.bucket_location == null || can(regex("^[A-Za-z0-9-]+$", var.bucket_location))
    error_message = "bucket_location is a location of Cloud Storage, such as `europe-west3` or `EU`."
  }
}

variable "bucket_name" {
  description = "Name of the bucket of all runs; that of the job files ends in `-jobs`. Project and name of the deployment, if null."
  type        = string
  default     = null
  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9_-]{1,56}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name has 3 to 58 lowercase letters, digits, `-` and `_`, without `gs://`."
  }
}

variable "callers" {
  description = "Who may call the services, as `user:`, `group:` or `serviceAccount:` and an email: people who run `sluice submit`, programs."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for member in var.callers : can(regex("^(user|group|serviceAccount):[^@\\s:,]+@([^@\\s:,.]+\\.)+[^@\\s:,.]+$", member))
    ])
    error_message = "Each of callers is `user:EMAIL`, `group:EMAIL` or `serviceAccount:EMAIL`, with the whole email, such as `serviceAccount:web@shop-prod.iam.gserviceaccount.com`. `allUsers` is refused, because the services trust every caller that Cloud Run admits."
  }
}

variable "cloud_sql_iam_logins" {
  description = "Instances of Cloud SQL for PostgreSQL that the planner and the tasks log in to as their service accounts, without a password, as `project:region:instance`: through a socket, where cloud_sql_instances names the instance too, or at an address of login_hosts. Set the flag `cloudsql.iam_authentication` of the instance to `on` before, and run the output database_grants after."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for instance in var.cloud_sql_iam_logins : can(regex("^[a-z][a-z0-9-]+:[a-z0-9-]+:[a-z][a-z0-9-]*$", instance))
    ])
    error_message = "Each of cloud_sql_iam_logins is a connection name, `project:region:instance`: see `gcloud sql instances describe INSTANCE`."
  }
  validation {
    condition     = length(var.cloud_sql_iam_logins) == 0 || length("${var.name}-extractor@${var.project_id}.iam") <= 63
    error_message = "The name of a user of PostgreSQL has at most 63 characters, and `${var.name}-extractor@${var.project_id}.iam` has more: cloud_sql_iam_logins needs a shorter name."
  }
}

variable "cloud_sql_instances" {
  description = "Cloud SQL instances that are reached through a socket, as `project:region:instance`. Jobs may name their sockets."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for instance in var.cloud_sql_instances : can(regex("^[a-z][a-z0-9-]+:[a-z0-9-]+:[a-z][a-z0-9-]*$", instance))
    ])
    error_message = "Each of cloud_sql_instances is a connection name, `project:region:instance`: see `gcloud sql instances describe INSTANCE`."
  }
}

variable "dataflow_above" {
  description = "A table that is to be deduplicated and has more rows, or more bytes, than this goes to Dataflow, unless its job says otherwise: `{ rows = 1000000000 }`."
  type = object({
    bytes = optional(number)
    rows  = optional(number)
  })
  default = null
  validation {
    condition = var.dataflow_above == null || anytrue([
      for limit in [try(var.dataflow_above.bytes, null), try(var.dataflow_above.rows, null)] : limit != null
    ])
    error_message = "dataflow_above has `rows`, `bytes` or both."
  }
  validation {
    condition = alltrue([
      for limit in [try(var.dataflow_above.bytes, null), try(var.dataflow_above.rows, null)] :
      try(limit >= 1 && floor(limit) == limit, limit == null)
    ])
    error_message = "dataflow_above: `rows` and `bytes` are whole numbers, at least 1."
  }
  validation {
    condition     = var.dataflow_above == null || var.dataflow_template != null
    error_message = "dataflow_above needs dataflow_template: nothing goes to Dataflow without it."
  }
}

variable "dataflow_deadline_hours" {
  description = "How long a job of Dataflow may take, before its load has failed. 24, if null."
  type        = number
  default     = null
  validation {
    condition     = try(var.dataflow_deadline_hours >= 1 && floor(var.dataflow_deadline_hours) == var.dataflow_deadline_hours, var.dataflow_deadline_hours == null)
    error_message = "dataflow_deadline_hours is a whole number of hours, at least 1."
  }
  validation {
    condition     = var.dataflow_deadline_hours == null || var.dataflow_template != null
    error_message = "dataflow_deadline_hours needs dataflow_template: nothing goes to Dataflow without it."
  }
}

variable "dataflow_template" {
  description = "URL of the Flex Template of `dataflow/`, which the loader launches for tables that are too large to be deduplicated by BigQuery: `gs://BUCKET/FOLDER/NAME.json`. Its bucket has uniform access, because the loader may read only the folder. The image is in the repository of image; elsewhere, let the account `NAME-dataflow` read it. Nothing goes to Dataflow, if null."
  type        = string
  default     = null
  validation {
    condition     = var.dataflow_template == null || can(regex("^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[A-Za-z0-9._-]+)+$", var.dataflow_template))
    error_message = "dataflow_template is the URL of a file, such as `gs://shop-prod-terraform/sluice/dataflow/1.json`."
  }
}

variable "datasets" {
  description = "Datasets of BigQuery that jobs may load into, as `dataset` or `project.dataset`. They exist already."
  type        = list(string)
  nullable    = false
  validation {
    condition     = length(var.datasets) > 0
    error_message = "Name at least one dataset in datasets: nothing could be loaded."
  }
  validation {
    condition = alltrue([
      for dataset in var.datasets : can(regex("^([a-z][a-z0-9-]+\\.)?[A-Za-z0-9_]+$", dataset))
    ])
    error_message = "Each of datasets is `dataset` or `project.dataset`."
  }
}

variable "delayed_tasks" {
  description = "Whether job files may ask for tasks that start within 12 hours, when Cloud Run has capacity to spare, and cost about 30 % less: `cloud_run: {delay_execution: true}`. Such an execution, retries included, may work 12 hours."
  type        = bool
  default     = false
  nullable    = false
  validation {
    condition     = can(tobool(var.delayed_tasks))
    error_message = "delayed_tasks is true or false."
  }
}

variable "deletion_protection" {
  description = "Whether `terraform destroy` leaves buckets that hold something alone, and fails."
  type        = bool
  default     = true
  nullable    = false
  validation {
    condition     = can(tobool(var.deletion_protection))
    error_message = "deletion_protection is true or false."
  }
}

variable "enable_services" {
  description = "Whether to switch on the Google APIs that are needed. False, where others manage them."
  type        = bool
  default     = true
  nullable    = false
  validation {
    condition     = can(tobool(var.enable_services))
    error_message = "enable_services is true or false."
  }
}

variable "event_subscribers" {
  description = "Who may subscribe to the ends of runs, as `user:`, `group:` or `serviceAccount:` and an email."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for member in var.event_subscribers : can(regex("^(user|group|serviceAccount):[^@\\s:,]+@([^@\\s:,.]+\\.)+[^@\\s:,.]+$", member))
    ])
    error_message = "Each of event_subscribers is `user:EMAIL`, `group:EMAIL` or `serviceAccount:EMAIL`, with the whole email, such as `serviceAccount:web@shop-prod.iam.gserviceaccount.com`."
  }
}

variable "image" {
  description = "The image with the three programs: by digest, or by a tag that is never given to another image."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[^\\s@]+/[^\\s@:]+(:[\\w.-]+|(:[\\w.-]+)?@sha256:[0-9a-f]{64})$", var.image))
    error_message = "image names a tag or a digest, such as `europe-docker.pkg.dev/shop/sluice/sluice:0.1.0` or `...@sha256:...`."
  }
  validation {
    condition     = !endswith(var.image, ":latest")
    error_message = "image may not be `:latest`: a plan would not see that it has changed."
  }
}

variable "ingress" {
  description = "From where the services are reached: `INGRESS_TRAFFIC_ALL`, or `INGRESS_TRAFFIC_INTERNAL_ONLY` for the project's own networks and Google's services in it. Callers need an identity either way."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"
  nullable    = false
  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY"], var.ingress)
    error_message = "ingress is `INGRESS_TRAFFIC_ALL` or `INGRESS_TRAFFIC_INTERNAL_ONLY`."
  }
}

variable "inline_callers" {
  description = "Emails of the callers that may send a job itself in place of the name of a job file."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = alltrue([for email in var.inline_callers : can(regex("^[^@\\s:,]+@([^@\\s:,.]+\\.)+[^@\\s:,.]+$", email))])
    error_message = "Each of inline_callers is an email, without `user:`."
  }
}

variable "inline_messages" {
  description = "Whether everybody who may publish to the request topic may send a job itself."
  type        = bool
  default     = false
  nullable    = false
  validation {
    condition     = can(tobool(var.inline_messages))
    error_message = "inline_messages is true or false."
  }
}

variable "job_buckets" {
  description = "Buckets and containers of clouds whose files jobs may name, as `s3://partner-drop` or `gs://lake`; `*` for all. The accounts of planner, tasks and loader may list and read what lies in those that begin with `gs://`; other clouds have rights of their own."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for bucket in var.job_buckets : bucket == "*" || can(regex("^(gs|s3|az|abfss)://[^/,\\s]+$", bucket))
    ])
    error_message = "Each of job_buckets is `gs://bucket`, `s3://bucket`, `az://container`, `abfss://container@account.dfs.core.windows.net` or `*`, without a path."
  }
}

variable "job_files" {
  description = "Files and folders of the containers that jobs may name, besides source_files."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = alltrue([for path in var.job_files : can(regex("^/[^,\\s]+$", path))])
    error_message = "Each of job_files is an absolute path, without commas and spaces."
  }
}

variable "job_hosts" {
  description = "Servers that jobs may name, as `host`, `host:port` or `*.domain`; `*` for all. A server that a secret's URL names needs no entry."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = alltrue([for host in var.job_hosts : can(regex("^[^,\\s/@]+$", host))])
    error_message = "Each of job_hosts is `host`, `host:port`, `*.domain` or `*`, without a scheme and a user."
  }
}

variable "job_task_sizes" {
  description = "Which of task_sizes a job file may ask for, besides task_size: `cloud_run: {task_size: large}`."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = length(setsubtract(var.job_task_sizes, keys(var.task_sizes))) == 0
    error_message = "Each of job_task_sizes is one of task_sizes: ${join(", ", sort(keys(var.task_sizes)))}."
  }
  validation {
    condition     = length(distinct(concat([var.task_size], var.job_task_sizes))) == 1 + length(var.job_task_sizes)
    error_message = "job_task_sizes names each size once, and not task_size (${var.task_size}), which every job file may ask for."
  }
  validation {
    condition = alltrue([
      for size in var.job_task_sizes :
      length("${var.name}-extractor-${size}${var.delayed_tasks ? "-delayed" : ""}") <= 63
    ])
    error_message = "The name of a Cloud Run Job has at most 63 characters: shorten name, or the names of job_task_sizes."
  }
}

variable "jobs_folder" {
  description = "Folder of job files (`<name>.yaml`): they are uploaded, and those with a `schedule` get one."
  type        = string
  default     = null
  validation {
    condition     = var.jobs_folder == null || length(fileset(coalesce(var.jobs_folder, "."), "*")) > 0
    error_message = "jobs_folder: there is no file in `${var.jobs_folder == null ? "" : var.jobs_folder}`. A relative path begins at terraform/: `../deployment/jobs` is beside it."
  }
}

variable "kms_key" {
  description = "Key of Cloud KMS that buckets, messages and the containers' disks are encrypted with: `projects/P/locations/L/keyRings/R/cryptoKeys/K`. The service agents of Cloud Storage, Pub/Sub and Cloud Run have to be allowed to use it. Google's own keys, if null."
  type        = string
  default     = null
  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key is `projects/P/locations/L/keyRings/R/cryptoKeys/K`, without a version."
  }
}

variable "labels" {
  description = "Labels of everything that can have some, to tell costs apart."
  type        = map(string)
  default     = {}
  nullable    = false
  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "labels have lowercase letters, digits, `-` and `_`, at most 63, and a key begins with a letter."
  }
  validation {
    condition     = !contains(keys(var.labels), "component") && !contains(keys(var.labels), "deployment")
    error_message = "The labels `component` and `deployment` are set already."
  }
}

variable "load_patience_hours" {
  description = "How long a load is tried again that BigQuery cannot carry out for the time being."
  type        = number
  default     = 6
  nullable    = false
  validation {
    condition     = var.load_patience_hours >= 1 && floor(var.load_patience_hours) == var.load_patience_hours
    error_message = "load_patience_hours is a whole number of hours, at least 1."
  }
}

variable "loader_size" {
  description = "An instance of the loader, how many requests it takes at once, and how many instances there may be."
  type = object({
    cpu           = optional(number, 1)
    memory        = optional(string, "1Gi")
    concurrency   = optional(number, 20)
    max_instances = optional(number, 5)
  })
  default  = {}
  nullable = false
  validation {
    condition     = contains([1, 2, 4, 6, 8], var.loader_size.cpu) && can(regex("^[1-9][0-9]*(Mi|Gi)$", var.loader_size.memory))
    error_message = "loader_size: cpu is 1, 2, 4, 6 or 8, and memory such as `1Gi`."
  }
  validation {
    condition     = var.loader_size.concurrency >= 1 && var.loader_size.concurrency <= 1000 && var.loader_size.max_instances >= 1
    error_message = "loader_size: concurrency is 1 to 1000, and max_instances at least 1."
  }
}

variable "log_filter" {
  description = "What the programs log, such as `info,sluice_planner=debug`. `info`, if null."
  type        = string
  default     = null
  validation {
    condition     = var.log_filter == null || can(regex("^[A-Za-z0-9_:=,]+$", var.log_filter))
    error_message = "log_filter is a level, or levels of modules: `info,sluice_planner=debug`."
  }
}

variable "login_hosts" {
  description = "Servers with a private address that jobs log in to as service accounts, as host or host:port: the token that they get logs in to every instance of cloud_sql_iam_logins."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition     = alltrue([for host in var.login_hosts : can(regex("^[^,\\s/@*]+$", host))])
    error_message = "Each of login_hosts is `host` or `host:port`, without a scheme, a user and `*`."
  }
}

variable "max_parallel_tasks" {
  description = "Most tasks of a run. All of them run at once: the region's quota of CPUs and the source's limit of connections bound it."
  type        = number
  default     = 20
  nullable    = false
  validation {
    condition     = var.max_parallel_tasks >= 1 && var.max_parallel_tasks <= 10000 && floor(var.max_parallel_tasks) == var.max_parallel_tasks
    error_message = "max_parallel_tasks is a whole number from 1 to 10000."
  }
}

variable "name" {
  description = "Name of the deployment: what everything is called begins with it. A project may have several."
  type        = string
  default     = "sluice"
  nullable    = false
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name has 2 to 20 lowercase letters, digits and `-`, begins with a letter, and does not end with `-`."
  }
}

variable "network" {
  description = "Network through which the planner and the tasks reach private addresses (Direct VPC egress), and the machines of Dataflow Google's services. The subnet, `projects/P/regions/R/subnetworks/S`, needs room for all tasks: /26 or larger. None, if null."
  type = object({
    network    = optional(string)
    subnetwork = string
    tags       = optional(list(string), [])
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
  })
  default = null
  validation {
    condition     = var.network == null || can(regex("^(projects/[^/\\s]+/regions/[^/\\s]+/subnetworks/)?[a-z][a-z0-9-]*$", var.network.subnetwork))
    error_message = "network.subnetwork is `projects/P/regions/R/subnetworks/S`, or the name alone of a subnet of the deployment's project and region."
  }
  validation {
    condition     = try(var.network.egress, "ALL_TRAFFIC") == "ALL_TRAFFIC" || try(var.network.egress, "") == "PRIVATE_RANGES_ONLY"
    error_message = "network.egress is `PRIVATE_RANGES_ONLY`, or `ALL_TRAFFIC` where a firewall or a NAT address is to see everything."
  }
}

variable "notification_channels" {
  description = "Channels of Cloud Monitoring that alerts go to, besides alert_emails: `projects/P/notificationChannels/N`."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))
    ])
    error_message = "Each of notification_channels is `projects/P/notificationChannels/N`."
  }
}

variable "part_retention_days" {
  description = "How long part files of tables that could not be loaded are kept, to load them again."
  type        = number
  default     = 14
  nullable    = false
  validation {
    condition     = var.part_retention_days >= 1 && floor(var.part_retention_days) == var.part_retention_days
    error_message = "part_retention_days is a whole number of days, at least 1."
  }
}

variable "paused_jobs" {
  description = "Job files whose schedule is paused, by their names."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = length(setsubtract(toset(var.paused_jobs), toset([
      for file in try(fileset(var.jobs_folder, "*.yaml"), []) : trimsuffix(file, ".yaml")
      if can(yamldecode(file("${var.jobs_folder}/${file}")).schedule)
    ]))) == 0
    error_message = "paused_jobs names a job file that has no schedule, or that is not in jobs_folder."
  }
}

variable "planner_size" {
  description = "An instance of the planner, how many requests it takes at once, and how many instances there may be. It plans five runs at once."
  type = object({
    cpu           = optional(number, 1)
    memory        = optional(string, "1Gi")
    concurrency   = optional(number, 10)
    max_instances = optional(number, 5)
  })
  default  = {}
  nullable = false
  validation {
    condition     = contains([1, 2, 4, 6, 8], var.planner_size.cpu) && can(regex("^[1-9][0-9]*(Mi|Gi)$", var.planner_size.memory))
    error_message = "planner_size: cpu is 1, 2, 4, 6 or 8, and memory such as `1Gi`."
  }
  validation {
    condition     = var.planner_size.concurrency >= 1 && var.planner_size.concurrency <= 1000 && var.planner_size.max_instances >= 1
    error_message = "planner_size: concurrency is 1 to 1000, and max_instances at least 1."
  }
}

variable "planning_deadline_minutes" {
  description = "How long a run may take from its request to its launch."
  type        = number
  default     = 60
  nullable    = false
  validation {
    condition     = var.planning_deadline_minutes >= 15 && floor(var.planning_deadline_minutes) == var.planning_deadline_minutes
    error_message = "planning_deadline_minutes is a whole number of minutes, at least 15: one planning may take ten."
  }
}

variable "project_id" {
  description = "The Google Cloud project that everything is made in."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is the project's id (not its number or its name): 6 to 30 lowercase letters, digits and `-`."
  }
}

variable "publishers" {
  description = "Who may ask for runs by messages, as `user:`, `group:` or `serviceAccount:` and an email: the service account of your Django program."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for member in var.publishers : can(regex("^(user|group|serviceAccount):[^@\\s:,]+@([^@\\s:,.]+\\.)+[^@\\s:,.]+$", member))
    ])
    error_message = "Each of publishers is `user:EMAIL`, `group:EMAIL` or `serviceAccount:EMAIL`, with the whole email, such as `serviceAccount:web@shop-prod.iam.gserviceaccount.com`."
  }
}

variable "region" {
  description = "The region that everything runs in: near the source."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a region of Google Cloud, such as `europe-west3` (not a zone)."
  }
}

variable "run_deadline_hours" {
  description = "How long a run may take from its plan until everything is read."
  type        = number
  default     = 24
  nullable    = false
  validation {
    condition     = var.run_deadline_hours >= 1 && floor(var.run_deadline_hours) == var.run_deadline_hours
    error_message = "run_deadline_hours is a whole number of hours, at least 1."
  }
}

variable "run_retention_days" {
  description = "How long the documents of runs are kept, and the keys of requests, almost as long."
  type        = number
  default     = 90
  nullable    = false
  validation {
    condition     = var.run_retention_days >= var.part_retention_days + 3 && floor(var.run_retention_days) == var.run_retention_days
    error_message = "run_retention_days is a whole number of days, and at least three more than part_retention_days: part files without their documents are of no use."
  }
}

variable "source_datasets" {
  description = "Datasets of BigQuery that jobs may read, as `dataset` or `project.dataset`: a job that may read one may read all of them. They exist already. A job whose source lies in another project names this one as the one that pays: `bigquery://project/dataset?billing_project=PROJECT_ID`."
  type        = list(string)
  default     = []
  nullable    = false
  validation {
    condition = alltrue([
      for dataset in var.source_datasets : can(regex("^([a-z][a-z0-9-]+\\.)?[A-Za-z0-9_]+$", dataset))
    ])
    error_message = "Each of source_datasets is `dataset` or `project.dataset`: there is no `*` for all datasets of a project."
  }
}

variable "source_files" {
  description = "Files that jobs name, such as the certificate of a server's authority: path in the containers -> id of the secret in Secret Manager that holds it. Each has a folder of its own."
  type        = map(string)
  default     = {}
  nullable    = false
  validation {
    condition     = alltrue([for path, _ in var.source_files : can(regex("^/[^,\\s/]+(/[^,\\s/]+)+$", path))])
    error_message = "Each path of source_files is absolute and has a folder, such as `/certificates/shop/ca.pem`."
  }
  validation {
    condition = (
      length(distinct([for path, _ in var.source_files : dirname(path)])) == length(var.source_files)
      && alltrue([for path, _ in var.source_files : !contains(["/cloudsql", "/usr/local/bin", "/etc/ssl/certs"], dirname(path))])
    )
    error_message = "Each of source_files has a folder of its own, which holds nothing else: a secret hides what was in it."
  }
  validation {
    condition     = alltrue([for _, secret in var.source_files : can(regex("^[A-Za-z0-9_-]{1,255}$", secret))])
    error_message = "source_files: a secret is named by its id, without `projects/` and without a version."
  }
}

variable "source_secrets" {
  description = "Environment variables that jobs may name: name of the variable -> id of the secret in Secret Manager that holds its value. The secrets exist already."
  type        = map(string)
  default     = {}
  nullable    = false
  validation {
    condition     = alltrue([for name, _ in var.source_secrets : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "source_secrets: a variable has letters, digits and `_`, and does not begin with a digit."
  }
  validation {
    condition = alltrue([
      for name, _ in var.source_secrets :
      !can(regex("^(SLUICE_.*|CLOUD_RUN_.*|K_.*|X_GOOGLE_.*|GOOGLE_.*|RUST_.*|PORT|PATH|HOME|STORAGE_EMULATOR_HOST|PUBSUB_EMULATOR_HOST)$", name))
    ])
    error_message = "source_secrets: `SLUICE_...`, `GOOGLE_...`, `PORT` and the like are not for jobs: choose another name."
  }
  validation {
    condition     = alltrue([for _, secret in var.source_secrets : can(regex("^[A-Za-z0-9_-]{1,255}$", secret))])
    error_message = "source_secrets: a secret is named by its id, such as `shop-url`, without `projects/` and without a version. If a password stands here, it is in this output too: change it, and put the new one into Secret Manager."
  }
}

variable "source_tls" {
  description = "How well connections to sources must be protected: `prefer`, `require`, `verify-ca` or `verify-full`. Sockets meet every demand. `prefer`, if null."
  type        = string
  default     = null
  validation {
    condition     = var.source_tls == null || contains(["prefer", "require", "verify-ca", "verify-full"], coalesce(var.source_tls, "prefer"))
    error_message = "source_tls is `prefer`, `require`, `verify-ca` or `verify-full`."
  }
}

variable "task_size" {
  description = "Which of task_sizes the tasks have, unless their job file asks for another (job_task_sizes)."
  type        = string
  default     = "small"
  nullable    = false
  validation {
    condition     = contains(keys(var.task_sizes), var.task_size)
    error_message = "task_size is one of task_sizes: ${join(", ", sort(keys(var.task_sizes)))}."
  }
}

variable "task_sizes" {
  description = "Sizes that a task may have. A task streams: more CPU makes it faster where the source is faster; memory is for wide rows."
  type = map(object({
    cpu    = number
    memory = string
  }))
  default = {
    small  = { cpu = 1, memory = "2Gi" }
    medium = { cpu = 2, memory = "4Gi" }
    large  = { cpu = 4, memory = "8Gi" }
    huge   = { cpu = 8, memory = "16Gi" }
  }
  nullable = false
  validation {
    # Each is part of a job's name, and of the kind of a task, such as `large-delayed`.
    condition = alltrue([
      for name, _ in var.task_sizes :
      can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", name)) && !can(regex("^(.*-)?delayed$", name))
    ])
    error_message = "task_sizes: a name has lowercase letters, digits and single `-` between them, begins with a letter, and is not and does not end in `delayed`."
  }
  validation {
    condition     = alltrue([for _, size in var.task_sizes : contains([1, 2, 4, 6, 8], size.cpu)])
    error_message = "task_sizes: cpu is 1, 2, 4, 6 or 8."
  }
  validation {
    # Cloud Run's limits of memory for so many CPUs, in GiB.
    condition = alltrue([
      for _, size in var.task_sizes : can(regex("^[1-9][0-9]*(Mi|Gi)$", size.memory)) && try(
        tonumber(trimsuffix(trimsuffix(size.memory, "Gi"), "Mi")) / (endswith(size.memory, "Mi") ? 1024 : 1)
        <= { 1 = 4, 2 = 8, 4 = 16, 6 = 24, 8 = 32 }[size.cpu], false
      )
    ])
    error_message = "task_sizes: memory is such as `2Gi`, and at most 4Gi for each CPU."
  }
}

variable "task_timeout_hours" {
  description = "How long an attempt of a task may take. It is started again after this time."
  type        = number
  default     = 24
  nullable    = false
  validation {
    condition     = var.task_timeout_hours >= 1 && var.task_timeout_hours <= 168 && floor(var.task_timeout_hours) == var.task_timeout_hours
    error_message = "task_timeout_hours is a whole number from 1 to 168."
  }
}

variable "time_zone" {
  description = "Time zone of the schedules."
  type        = string
  default     = "Etc/UTC"
  nullable    = false
  validation {
    condition     = can(regex("^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$", var.time_zone))
    error_message = "time_zone is a name of the tz database, such as `Europe/Berlin`."
  }
}
