project_id     = "shop-prod"
region         = "europe-west3"
image          = "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice:1.2.0"
datasets       = ["sales"]
source_secrets = { SOURCE_URL = "shop-url" }
