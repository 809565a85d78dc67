# Runs the t/*.t of the current folder one by one, as prove does, and writes each test's outcome as runner.py reads it.
use strict;
use warnings;
use TAP::Parser;

open my $out, '>', $ENV{SUITE_OUTCOMES} or die "$ENV{SUITE_OUTCOMES}: $!";
for my $file (sort glob 't/*.t') {
    my $parser = TAP::Parser->new({ source => $file, merge => 1 });
    while (my $result = $parser->next) {
        print STDERR $result->as_string, "\n";
        next unless $result->is_test;
        my $outcome = $result->has_skip ? 'skip' : $result->is_ok ? 'ok' : 'fail';
        print $out "$outcome\t$file ", $result->number, "\n";
    }
    # The file as a whole: it ended well, and ran as many tests as it planned.
    my $whole = $parser->skip_all ? 'skip' : ($parser->exit || $parser->parse_errors) ? 'error' : 'ok';
    print STDERR "$whole $file\n";
    print $out "$whole\t$file\n";
}
