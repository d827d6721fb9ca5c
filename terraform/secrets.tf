# What the source's jobs need and nobody may read: URLs, passwords,
# certificates. The secrets are made elsewhere; nothing here sees a value.

locals {
  # One volume for each file, because a volume holds one secret.
  secret_volumes = {
    for path, secret in var.source_files :
    "file-${substr(sha256(path), 0, 8)}" => {
      file   = basename(path)
      folder = dirname(path)
      secret = secret
    }
  }

  _secrets = toset(concat(values(var.source_secrets), values(var.source_files)))
  _secret_readers = {
    for pair in setproduct(local.source_readers, local._secrets) :
    "${pair[0]} ${pair[1]}" => { reader = pair[0], secret = pair[1] }
  }
}

resource "google_secret_manager_secret_iam_member" "source" {
  for_each = local._secret_readers

  project   = var.project_id
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this[each.value.reader].member
}
