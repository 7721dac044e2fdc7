# Nomad: the key of billing in the environment of a task, and a restart for a new key.
#
# To be replaced: the names, the driver and its configuration, the role and the path. The role of Vault needs the
# policy of `rotator policy --for consumer billing`. docs/integrations.md explains which numbers fit together.

job "billing" {
  group "billing" {
    task "billing" {
      driver = "exec"

      config {
        command = "/usr/local/bin/billing"
      }

      vault {
        role = "billing"
      }

      template {
        # MOUNT/data/PATH: to rotator this is path = "secret/apps/billing/scaleway". One read for all values,
        # so that they belong to one key.
        data = <<-EOT
        {{- with secret "secret/data/apps/billing/scaleway" -}}
        SCW_ACCESS_KEY={{ .Data.data.access_key }}
        SCW_SECRET_KEY={{ .Data.data.secret_key }}
        SCW_DEFAULT_PROJECT_ID={{ .Data.data.default_project_id }}
        {{ end -}}
        EOT

        destination          = "${NOMAD_SECRETS_DIR}/scaleway.env"
        perms                = "0600"
        env                  = true
        error_on_missing_key = true

        # A new key restarts the task. The instances of a group restart at different moments.
        change_mode = "restart"
        splay       = "30s"
      }
    }
  }
}
