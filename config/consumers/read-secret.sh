#!/bin/sh
# Runs a program with the current Scaleway key in its environment, under the names that Scaleway's own tools read:
#
#     BAO_ADDR=https://vault.example.com:8200 read-secret.sh secret apps/billing/scaleway scw account project list
#
# Mount, path, then the program and its arguments. `bao` (or `vault`, with VAULT_ADDR) takes the Vault token from ~/.vault-token,
# where `bao login` or the agent's sink put it. Neither token nor key is ever an argument of a command, where every user of the
# machine could read it. The program keeps the key that it started with: for short-lived ones.
set -eu
mount=$1 path=$2
shift 2

# One read for both values, so that they belong to one key. jq's @sh quotes them for the shell, and a missing one is an error.
# The shell's own printf is no command: nobody sees its arguments.
document=$("${BAO:-bao}" kv get -format=json -mount="$mount" "$path")
variables=$(printf '%s' "$document" | jq -r '.data.data | [.access_key, .secret_key | strings] | select(length == 2)
    // error("there is no key in this document") | @sh "SCW_ACCESS_KEY=\(.[0]) SCW_SECRET_KEY=\(.[1])"')
eval "export $variables"

exec "$@"
