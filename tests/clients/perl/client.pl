#!/usr/bin/perl
# Runs the scenario with DBD::mysql or DBD::MariaDB, with emulated or server-side prepares.
use strict;
use warnings;
use DBI qw(:sql_types);
use Digest::SHA qw(sha256_hex);
use Encode ();
use JSON::PP;

my ($module, $prepared) = $ARGV[0] =~ /^(mysql|mariadb)(-prepared)?$/ or die "which driver?";
my $prefix = $module eq 'mysql' ? 'mysql' : 'mariadb';
my %env = %ENV;
binmode STDOUT, ':utf8';

sub value {
    my ($encoded) = @_;
    return $encoded if ref $encoded ne 'HASH';
    return pack 'H*', $encoded->{bytes} if exists $encoded->{bytes};
    return $encoded->{repeat} x $encoded->{times} if exists $encoded->{repeat};
    return pack('H*', $encoded->{repeat_bytes}) x $encoded->{times} if exists $encoded->{repeat_bytes};
    return $encoded->{(keys %$encoded)[0]};
}

sub is_bytes { my ($encoded) = @_; return ref $encoded eq 'HASH' && (exists $encoded->{bytes} || exists $encoded->{repeat_bytes}) }

sub show {
    my ($item) = @_;
    return 'NULL' unless defined $item;
    my $raw = Encode::encode('UTF-8', $item);
    return 'of ' . length($item) . ': sha256 ' . sha256_hex($raw) if length($raw) > 400;
    $item =~ s/([\x00-\x1f\x7f-\x9f])/sprintf '\\x%02x', ord $1/ge;
    return "'$item'";
}

sub dial {
    my ($tls) = @_;
    my $dsn = "DBI:" . ($module eq 'mysql' ? 'mysql' : 'MariaDB') . ":database=$env{CLIENT_SCHEMA};host=$env{CLIENT_HOST};port=$env{CLIENT_PORT}";
    $dsn .= ";${prefix}_ssl=1;${prefix}_ssl_ca_file=$env{CLIENT_CA}" if $tls;
    # Debian's DBD::mysql cannot enforce TLS; it may still use it.
    $dsn .= ';mysql_ssl_optional=1' if $tls && $module eq 'mysql';
    my $dbh = DBI->connect($dsn, $env{CLIENT_USER}, $env{CLIENT_PASSWORD}, { RaiseError => 1, PrintError => 0, AutoCommit => 1,
        $module eq 'mysql' ? (mysql_enable_utf8mb4 => 1) : (), "${prefix}_server_prepare" => $prepared ? 1 : 0,
        $prepared && $module eq 'mysql' ? (mysql_server_prepare_disable_fallback => 1) : () });
    my $encrypted = $module eq 'mariadb' ? ($dbh->{mariadb_ssl_cipher} // '') ne '' : '';
    print "  server ", join(' ', $dbh->{"${prefix}_serverinfo"}, $dbh->{"${prefix}_protoinfo"}, "encrypted", $encrypted), "\n";
    return $dbh;
}

sub answer {
    my ($dbh, $sth) = @_;
    do {
        if ($sth->{NUM_OF_FIELDS}) {
            my @facts = map { $sth->{$_} // [] } 'NAME', 'TYPE', 'PRECISION', 'SCALE', 'NULLABLE',
                map { "${prefix}_$_" } qw(table length type type_name is_blob is_key is_num is_pri_key is_auto_increment);
            for my $i (0 .. $sth->{NUM_OF_FIELDS} - 1) {
                print '  column ', join(' ', map { $_->[$i] // 'undef' } @facts), "\n";
            }
            while (my $row = $sth->fetchrow_arrayref) { print '  row ', join(', ', map { show($_) } @$row), "\n" }
        }
        print '  rows ', $sth->rows, ' id ', $sth->{"${prefix}_insertid"} // 'none', ' warnings ', $sth->{"${prefix}_warning_count"} // '', "\n";
    } while ($sth->more_results);
}

sub run {
    my ($dbh, $sql, $runs) = @_;
    my $sth = $dbh->prepare($sql);
    for my $run (@$runs) {
        for my $i (0 .. $#$run) {
            my $type = is_bytes($run->[$i]) ? SQL_BLOB : SQL_VARCHAR;
            $sth->bind_param($i + 1, value($run->[$i]), $type);
        }
        $sth->execute;
        answer($dbh, $sth);
    }
    $sth->finish;
}

my $steps = do { local (@ARGV, $/) = $env{CLIENT_SCENARIO}; JSON::PP->new->utf8->boolean_values(0, 1)->decode(<>) };
my $dbh = dial(0);
for my $step (@$steps) {
    my $does = $step->{do};
    my $sql = $step->{sql} // '';
    print "$does ", substr($step->{name} // $sql, 0, 100), "\n";
    my $runs = ref(($step->{params} // [])->[0]) eq 'ARRAY' ? $step->{params} : [[]];
    eval {
        if ($does eq 'section') { }
        elsif ($does eq 'connect') { $dbh->disconnect; $dbh = dial($step->{tls}) }
        elsif ($does eq 'call') {
            # Several results need the text protocol with DBD::mysql.
            my $sth = $dbh->prepare($sql, { "${prefix}_server_prepare" => 0 });
            $sth->execute;
            answer($dbh, $sth);
        }
        elsif ($does =~ /^(query|prepared|too_long)$/) { run($dbh, $sql, $runs) }
        elsif ($does eq 'text') {
            for my $run (@$runs) {
                my @values = map { defined $_ ? $dbh->quote(value($_), is_bytes($_) ? SQL_BLOB : SQL_VARCHAR) : 'NULL' } @$run;
                (my $text = $sql) =~ s/\?/shift @values/ge;
                if ($text =~ /^SELECT/) { run($dbh, $text, [[]]) }
                else { print '  done ', $dbh->do($text), "\n" }
            }
        }
        elsif ($does eq 'batch') {
            my $sth = $dbh->prepare($sql);
            my @columns;
            for my $i (0 .. $step->{count} - 1) {
                my $c = 0;
                for my $p (@{ $step->{params} }) { (my $v = $p) =~ s/\{i\}/$i/; push @{ $columns[$c++] }, $v }
            }
            my $done = $sth->execute_array({ ArrayTupleStatus => \my @status }, @columns);
            print "  done $done: ", join(',', map { ref $_ ? "@$_" : $_ } @status), "\n";
        }
        elsif ($does eq 'begin') { $dbh->begin_work }
        elsif ($does eq 'commit') { $dbh->commit }
        elsif ($does eq 'rollback') { $dbh->rollback }
        elsif ($does eq 'ping') { print '  ping ', $dbh->ping, "\n" }
        else { die "unknown step $does" }
        1;
    } or do {
        die $@ unless $dbh->err;
        print '  error ', $dbh->err, ' ', $dbh->state, ' ', $dbh->errstr, "\n";
    };
}
$dbh->disconnect;
print "end\n";
