#!/usr/bin/env bash
# Java's MariaDB Connector/J from Debian's package: client-side and server-side prepares.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
jar=/usr/share/java/mariadb-java-client.jar
classes=$SEALWIRE_CACHE/clients-java

case ${1:?} in
--drivers) echo text prepared ;;
--install)
    [ -e "$jar" ] || install_packages libmariadb-java
    type -P javac >/dev/null || install_packages default-jdk-headless
    mkdir -p "$classes"
    javac -d "$classes" "$here/Client.java"
    ;;
--version) dpkg-query -W -f 'MariaDB Connector/J ${Version}\n' libmariadb-java ;;
*) exec java -Xmx2g -cp "$classes:$jar:/usr/share/java/jna.jar:/usr/share/java/slf4j-api.jar" Client "$1" ;;
esac
