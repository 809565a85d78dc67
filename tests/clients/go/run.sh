#!/usr/bin/env bash
# Go's go-sql-driver/mysql from Debian's package, which is found by GOPATH.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
export GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$SEALWIRE_CACHE/clients-go/cache GOFLAGS=
program=$SEALWIRE_CACHE/clients-go/client

case ${1:?} in
--drivers) echo text prepared ;;
--install)
    [ -d "$GOPATH/src/github.com/go-sql-driver/mysql" ] && type -P go >/dev/null ||
        install_packages golang-go golang-github-go-sql-driver-mysql-dev
    mkdir -p "${program%/*}"
    go build -o "$program" "$here/client.go"
    ;;
--version) dpkg-query -W -f 'go-sql-driver ${Version}\n' golang-github-go-sql-driver-mysql-dev ;;
*) exec "$program" "$1" ;;
esac
