#!/usr/bin/env bash
# The tests of Perl's DBD::MariaDB (its t/), with the module as this release of Debian has it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
release=$(debian_release)
source=$SEALWIRE_CACHE/suite-dbd-mariadb-$release
root=$SEALWIRE_CACHE/suites-dbd-mariadb-$release

case ${1:-} in
--install)
    [ -n "$release" ] || die "this is no release of Debian"
    unpack_packages "$release" "suites-dbd-mariadb-$release" libdbd-mariadb-perl libtest-deep-perl libnet-ssleay-perl
    unpack_source "$release" "suite-dbd-mariadb-$release" libdbd-mariadb-perl
    ;;
--version) echo "DBD::MariaDB $(sed -n 's/^our \$VERSION = .\([0-9.]*\).*/\1/p' "$source/lib/DBD/MariaDB.pm" | head -n 1)" ;;
--options) ;;
*)
    cp -r "$source/t" .
    library=$(dirname "$(ls "$root"/usr/lib/*/libmariadb.so.3)")
    mkdir libraries
    cp "$library/libmariadb.so.3" libraries
    export LD_LIBRARY_PATH=$PWD/libraries MARIADB_PLUGIN_DIR=$library/libmariadb3/plugin
    export PERL5LIB=$(printf '%s:' "$root"/usr/lib/*/perl5/*)$root/usr/share/perl5
    export DBI_DSN="DBI:MariaDB:database=$SUITE_SCHEMA;host=$SUITE_HOST;port=$SUITE_PORT" DBI_USER=root CONNECTION_TESTING=1
    exec perl "$here/suite.pl"
    ;;
esac
