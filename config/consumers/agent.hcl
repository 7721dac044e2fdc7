# Vault Agent, or OpenBao's, for an application that takes its key from an environment file. The agent reads the credential
# document every few minutes, writes the file anew when there is another key in it, and restarts the application.
#
# To be replaced: the address, the two files of the AppRole, the destination, the path of the document and the command.
# Then, as a service: bao agent -config=agent.hcl (or vault agent …). docs/consumers.md has the policy that it needs, and says
# which numbers have to fit together.

vault {
  address = "https://vault.example.com:8200"
  # ca_cert = "/etc/ssl/certs/vault-ca.pem"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/billing/vault-role-id"
      secret_id_file_path = "/etc/billing/vault-secret-id"

      # Unless told so, the agent deletes this file once it has read it, and cannot log in after its own restart.
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  # How often the document is read. Say the same as `refresh` to rotator; this is the default of both.
  static_secret_render_interval = "5m"
}

template {
  destination = "/run/billing/scaleway.env"
  perms       = "0600"

  # Unless told so, a missing field becomes the text "<no value>", and the application starts with that.
  error_on_missing_key = true

  # MOUNT/data/PATH: to rotator this is path = "secret/apps/billing/scaleway". One read for all values, so that they belong
  # to one key. The lines are indented as far as the closing word, which is what the agent takes away.
  contents = <<-EOT
  {{- with secret "secret/data/apps/billing/scaleway" -}}
  SCW_ACCESS_KEY={{ .Data.data.access_key }}
  SCW_SECRET_KEY={{ .Data.data.secret_key }}
  SCW_DEFAULT_PROJECT_ID={{ .Data.data.default_project_id }}
  {{ end -}}
  EOT

  # After each change of the file, the first included. The unit says EnvironmentFile=/run/billing/scaleway.env, and
  # Restart=on-failure: the agent does not repeat a command that failed until there is yet another key.
  exec {
    command = ["systemctl", "restart", "billing.service"]
    timeout = "30s"
  }
}
