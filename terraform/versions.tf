terraform {
  # Validations that compare two variables need 1.9.
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 9.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}
