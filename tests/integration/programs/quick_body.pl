#!/usr/bin/perl
# quick.pl for requests with a Content-Length: it reads the body and says how long it was.
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
    my $data = '';
    until ($data =~ /\r\n\r\n/) {
        sysread(STDIN, $data, 65536, length $data) or exit;
    }
    my ($head, $body) = split /\r\n\r\n/, $data, 2;
    my ($size) = $head =~ /^content-length: (\d+)/mi;
    until (length $body >= $size) {
        sysread(STDIN, $body, 65536, length $body) or exit;
    }
    my $answer = sprintf "%d %d %s %d", $$, ++$served, $word, length $body;
    print "HTTP/1.1 200 OK\r\nContent-Length: ", length $answer, "\r\n\r\n", $answer;
    exit if $head =~ /^connection: close\r?$/mi;
}
