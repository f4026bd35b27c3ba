#!/usr/bin/env bash
# `headgate store check` against two real servers: one must be refused, the other accepted for what it can keep.
#
#   infra/stores.sh rclone    rclone serve s3, which ignores every condition: refused, whatever it is to hold
#   infra/stores.sh ceph      Ceph's gateway: exact without versioning, so accepted for a ledger; with versioning every
#                             writer wins, so accepted for evidence alone (`infra/ceph.sh` says what to install)
#
# HEADGATE and RCLONE name the two commands, PORT the first port to use.
set -euo pipefail
here=$(dirname "$(realpath "$0")") headgate=$(realpath "${HEADGATE:-.venv/bin/headgate}") port=${PORT:-9100}
python=$(dirname "$headgate")/python

# check EXPECTED WORDS...: the exit code of `headgate store check WORDS` must be the expected one.
check() {
  local expected=$1 code=0
  echo && echo "headgate store check ${*:2}"
  "$headgate" store check "${@:2}" || code=$?
  [ "$code" = "$expected" ] || { echo "exit code $code, not $expected" >&2; exit 1; }
}

bucket() { "$python" -c 'import boto3, sys; boto3.client("s3").create_bucket(Bucket=sys.argv[1], ObjectLockEnabledForBucket=len(sys.argv) > 2)' "$@"; }

scratch=$(mktemp -d)
case ${1:?rclone or ceph} in
  rclone)
    export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=access-key AWS_SECRET_ACCESS_KEY=secret-key
    export AWS_DEFAULT_REGION=us-east-1
    "${RCLONE:-.venv-rclone/bin/rclone}" serve s3 --addr "127.0.0.1:$port" --auth-key access-key,secret-key "$scratch" \
      > "$scratch.log" 2>&1 &
    trap 'kill $!; rm -rf "$scratch"*' EXIT
    for _ in $(seq 50); do bucket plain 2> "$scratch.err" && break || sleep 0.2; done
    check 1 s3://plain
    check 1 s3://plain --evidence
    ;;
  ceph)
    trap 'rm -rf "$scratch"' EXIT
    HEADGATE=$headgate "$here/ceph.sh" "$scratch" "$port" "$0" in-ceph
    ;;
  in-ceph)
    rmdir "$scratch"
    bucket plain
    bucket locked with-lock
    check 0 s3://plain/headgate
    check 1 s3://locked
    check 0 s3://locked/headgate --evidence
    ;;
esac
