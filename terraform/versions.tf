terraform {
  # Validations that compare two variables need 1.9.
  required_version = ">= 1.9"

  required_providers {
    google = {
      source = "hashicorp/google"
      # A job that delays its executions needs 8.6.
      version = ">= 8.6, < 9.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}
