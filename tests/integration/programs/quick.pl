#!/usr/bin/perl
# A small HTTP/1.1 server for one connection, on standard input and output.
# It answers with its process id, its number of requests so far and its first argument.
# A second argument is for how many seconds it waits for another request.
use strict;
use warnings;

my ($word, $patience) = (@ARGV, '', '');
my $served = 0;
$| = 1;

while (1) {
    if ($patience and $served) {
        my $ready = '';
        vec($ready, fileno(STDIN), 1) = 1;
        select($ready, undef, undef, $patience) or exit;
    }
    my $head = '';
    until ($head =~ /\r\n\r\n\z/) {
        sysread(STDIN, $head, 65536, length $head) or exit;
    }
    my $body = sprintf "%d %d %s", $$, ++$served, $word;
    print "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
    exit if $head =~ /^connection: close\r$/mi;
}
