project_id     = "shop-prod"
region         = "europe-west3"
image          = "europe-west3-docker.pkg.dev/shop-prod/sluice/sluice:0.1.0"
datasets       = ["sales"]
source_secrets = { SOURCE_URL = "shop-url" }
