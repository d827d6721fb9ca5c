# How the planner and the tasks reach the source: over the internet, through
# Cloud SQL's sockets, or through a network of the project (Direct VPC egress).
# The loader reaches only Google's services. The machines of Dataflow use the
# network too, see dataflow.tf.

locals {
  cloud_sql_instances = sort(var.cloud_sql_instances)
  # Every instance that has to do with a source, by its connection name.
  cloud_sql = {
    for name in toset(concat(var.cloud_sql_iam_logins, var.cloud_sql_instances)) :
    name => { project = split(":", name)[0], instance = split(":", name)[2] }
  }
  # One volume holds the sockets of all instances.
  cloud_sql_volumes = (
    length(local.cloud_sql_instances) > 0
    ? { cloudsql = local.cloud_sql_instances }
    : {}
  )
  networks = var.network == null ? [] : [var.network]

  # The volume of Cloud SQL comes last, as Cloud Run lists it.
  volume_mounts = merge(
    { for name, volume in local.secret_volumes : name => volume.folder },
    { for name, _ in local.cloud_sql_volumes : name => "/cloudsql" },
  )
}
