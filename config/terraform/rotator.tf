# Terraform: the login of rotator at Vault.
#
# The policy and the role are what `rotator policy --format terraform` prints for config/rotator.small.toml.
# Replace them by what it prints for your own configuration; `--cidr` restricts the role to addresses.
# The secret id is not made here: it would be stored in the state of Terraform. Make it on the machine of the
# service with `bao write -f -field=secret_id auth/approle/role/rotator/secret-id`.

terraform {
  required_providers {
    vault = {
      source = "hashicorp/vault"
    }
  }
}

resource "vault_auth_backend" "approle" {
  type = "approle"
}

resource "vault_policy" "rotator" {
  name   = "rotator"
  policy = <<-EOT
    path "auth/token/lookup-self"                { capabilities = ["read"] }
    path "auth/token/renew-self"                 { capabilities = ["update"] }
    path "auth/token/revoke-self"                { capabilities = ["update"] }
    path "sys/capabilities-self"                 { capabilities = ["update"] }
    path "secret/data/rotator/*"                 { capabilities = ["create", "read", "update"] }
    path "secret/metadata/rotator/*"             { capabilities = ["list"] }
    path "secret/data/apps/billing/scaleway"     { capabilities = ["create", "read", "update"] }
    path "secret/metadata/apps/billing/scaleway" { capabilities = ["read", "patch"] }
    path "secret/destroy/apps/billing/scaleway"  { capabilities = ["update"] }
    path "secret/config"                         { capabilities = ["read"] }
  EOT
}

resource "vault_approle_auth_backend_role" "rotator" {
  backend                 = vault_auth_backend.approle.path
  role_name               = "rotator"
  token_policies          = [vault_policy.rotator.name]
  token_no_default_policy = true # the policy is complete, so Vault's default policy is not needed
  token_ttl               = 3600 # a token that is not renewed ends within an hour
  token_max_ttl           = 86400 # a stolen token ends within a day; the daemon logs in again
  token_num_uses          = 0 # a daemon makes calls without a limit
  secret_id_num_uses      = 0 # each login of the daemon and of its commands is one use
}
