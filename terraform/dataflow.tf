# Dataflow: tables that are too large to be deduplicated at BigQuery's price. The
# loader launches the Flex Template of dataflow/, whose machines exist only while
# they work. Nothing of it is made unless dataflow_template is set; iam.tf and
# iam_dataflow.tf have the rights.

locals {
  uses_dataflow = var.dataflow_template != null

  # The machines take the network of the tasks, and have private addresses then.
  # Dataflow takes `regions/R/subnetworks/S`, or a whole URL, which a subnet of
  # another project needs.
  # https://cloud.google.com/dataflow/docs/guides/specifying-networks
  _dataflow_subnetwork = one([
    for network in local.networks : (
      startswith(network.subnetwork, "projects/")
      ? "https://www.googleapis.com/compute/v1/${network.subnetwork}"
      : "regions/${var.region}/subnetworks/${network.subnetwork}"
    )
  ])

  # What both services need.
  dataflow_environment = {
    SLUICE_DATAFLOW_ACCOUNT = try(google_service_account.this["dataflow"].email, null)
    SLUICE_DATAFLOW_LOCATION = (
      local.uses_dataflow ? "projects/${var.project_id}/locations/${var.region}" : null
    )
    SLUICE_DATAFLOW_SUBNETWORK = local.uses_dataflow ? local._dataflow_subnetwork : null
    SLUICE_DATAFLOW_TEMPLATE   = var.dataflow_template
  }

  # The template's bucket, and the folder in it.
  dataflow_template = try(
    regex("^gs://(?P<bucket>[^/]+)/(?P<folder>(?:.*/)?)[^/]+$", var.dataflow_template), null
  )

  # The repository of `image`, if it is one of Artifact Registry: the image of the
  # machines lies there too. A project `example.com:shop` is `example.com/shop` in
  # the name of an image.
  _repository = try(regex(join("", [
    "^(?P<location>[a-z0-9-]+)-docker\\.pkg\\.dev/",
    "(?P<project>(?:[^/]+\\.[^/]+/)?[^/.]+)/(?P<repository>[^/]+)/",
  ]), var.image), null)
  dataflow_repositories = {
    for found in local.uses_dataflow ? [local._repository] : [] :
    "image" => merge(found, { project = replace(found.project, "/", ":") })
    if found != null
  }

  # How long a job of Dataflow may need the part files of its run.
  dataflow_hours = local.uses_dataflow ? coalesce(var.dataflow_deadline_hours, 24) : 0
}
