# `. docs/try.sh` in Enlace's folder: a scratch folder for what the pages save, and `enlace` at the running `make run`.
if [ ! -x .venv/bin/enlace ]; then
  echo "Do this in Enlace's folder, after make run: .venv/bin/enlace is not here." >&2
else
  export PATH="$PWD/.venv/bin:$PATH"
  export ENLACE_DATABASE_URL="${ENLACE_DATABASE_URL:-sqlite:///$PWD/var/enlace.db}"
  export ENLACE_SECRET_KEY_FILE="${ENLACE_SECRET_KEY_FILE:-$PWD/var/secret.key}"
  export ENLACE_AUDIT_KEY_FILE="${ENLACE_AUDIT_KEY_FILE:-$PWD/var/audit.key}"
  export ENLACE_AUDIT_RECEIPTS="${ENLACE_AUDIT_RECEIPTS:-$PWD/var/audit-receipts.jsonl}"
  export ENLACE_EGRESS_ALLOW="${ENLACE_EGRESS_ALLOW:-127.0.0.1:9009}"
  mkdir -p var/try
  cd var/try
  # zsh takes a pasted "# 200" for words of the command otherwise
  [ -z "${ZSH_VERSION:-}" ] || setopt interactivecomments
fi
