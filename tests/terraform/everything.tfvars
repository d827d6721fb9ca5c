alert_emails            = ["etl@example.com"]
bucket_location         = "EU"
bucket_name             = "shop-lake"
callers                 = ["user:ann@example.com", "serviceAccount:web@shop-prod.iam.gserviceaccount.com"]
cloud_sql_iam_logins    = ["shop-prod:europe-west3:shop"]
cloud_sql_instances     = ["shop-prod:europe-west3:shop", "other-project:europe-west3:crm"]
dataflow_above          = { bytes = 2000000000000, rows = 10000000000 }
dataflow_deadline_hours = 18
dataflow_template       = "gs://shop-prod-terraform/sluice/dataflow/1.json"
datasets                = ["sales", "shop-lake-prod.crm"]
delayed_tasks           = true
deletion_protection     = false
enable_services         = false
event_subscribers       = ["serviceAccount:web@shop-prod.iam.gserviceaccount.com"]
image                   = "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ingress                 = "INGRESS_TRAFFIC_INTERNAL_ONLY"
inline_callers          = ["ann@example.com"]
inline_messages         = true
job_buckets             = ["s3://partner-drop", "gs://lake"]
job_files               = ["/data"]
job_hosts               = ["db.example.com", "*.internal"]
job_task_sizes          = ["large"]
jobs_folder             = "../jobs"
kms_key                 = "projects/shop-prod/locations/europe-west3/keyRings/data/cryptoKeys/sluice"
labels                  = { team = "sales" }
load_patience_hours     = 12
loader_size             = { cpu = 2, memory = "2Gi" }
log_filter              = "info,sluice_planner=debug"
login_hosts             = ["10.1.2.3", "127.0.0.1"]
max_parallel_tasks      = 8
name                    = "etl"
network = {
  network    = "projects/shop-prod/global/networks/main"
  subnetwork = "projects/shop-prod/regions/europe-west3/subnetworks/tasks"
  tags       = ["sluice"]
}
notification_channels     = ["projects/shop-prod/notificationChannels/7"]
part_retention_days       = 7
paused_jobs               = ["orders"]
planner_size              = { max_instances = 3 }
planning_deadline_minutes = 120
project_id                = "shop-prod"
publishers                = ["serviceAccount:web@shop-prod.iam.gserviceaccount.com"]
region                    = "europe-west3"
run_deadline_hours        = 36
run_retention_days        = 30
source_datasets           = ["events", "web-prod.analytics"]
source_files              = { "/certificates/shop/ca.pem" = "shop-ca" }
source_secrets            = { SOURCE_URL = "shop-url", DB_PASSWORD = "crm-password" }
source_tls                = "verify-ca"
task_size                 = "medium"
task_timeout_hours        = 12
time_zone                 = "Europe/Berlin"
