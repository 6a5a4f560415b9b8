#!/usr/bin/perl
# CSV to JSON: HTTP/1.1 on stdin and stdout, many requests one after the other.
#
# GET /     how to use it
# POST /    the posted CSV (RFC 4180, UTF-8) as a JSON array of objects, whose
#           keys are the first line; ?header=no: as arrays; ?separator=%3B: not a comma
#
# It needs nothing but perl itself. By hand: printf 'GET / HTTP/1.0\r\n\r\n' | ./csv2json.pl
use strict;
use warnings;

my $MAX_HEAD = 64 * 1024;
my $MAX_BODY = 16 * 1024 * 1024;
my %REASON = (
    200 => 'OK',
    400 => 'Bad Request',
    404 => 'Not Found',
    405 => 'Method Not Allowed',
    413 => 'Content Too Large',
    431 => 'Request Header Fields Too Large',
);
my $HELP = <<'TEXT';
CSV to JSON.

    curl --data-binary @FILE.csv 'URL'                  objects, keyed by the first line
    curl --data-binary @FILE.csv 'URL?header=no'        arrays
    curl --data-binary @FILE.csv 'URL?separator=%3B'    semicolons instead of commas
TEXT

binmode STDIN;
binmode STDOUT;
$SIG{PIPE} = sub { exit 0 };    # the client is gone
1 while serve_one();

# serve_one() answers one request, and returns whether another may follow.
sub serve_one {
    my $request = eval { read_head() };
    return refuse({}, $@) if $@;
    return 0 unless $request;
    my ($body, $json);
    eval { $body = read_body($request); 1 } or return refuse($request, $@);
    my ($path, $query) = split /\?/, $request->{target}, 2;
    return respond($request, 404, text("There is nothing here.\n")) if $path ne '/';
    if ($request->{method} =~ /^(GET|HEAD)$/) {
        my $host = $request->{header}{host} || 'localhost';
        my $prefix = $request->{header}{'x-forwarded-prefix'} || '';
        (my $help = $HELP) =~ s/URL/http:\/\/$host$prefix\//g;
        return respond($request, 200, text($help));
    }
    return respond($request, 405, text("Send CSV here, with POST.\n"), 'Allow: GET, HEAD, POST')
        if $request->{method} ne 'POST';
    $json = eval { convert($body, parse_query($query)) };
    return respond($request, 400, text($@)) if $@;
    return respond($request, 200, ['application/json', $json]);
}

sub text { return ['text/plain; charset=utf-8', $_[0]] }

# What comes in (RFC 9112). Whatever is wrong ends the connection: nobody knows
# where the next request begins.

sub refuse {
    my ($request, $problem) = @_;
    my ($status) = $problem =~ s/^(\d{3}) // ? $1 : 400;
    $request->{close} = 1;
    return respond($request, $status, text($problem));
}

sub read_head {
    my ($size, $line) = (0);
    my $next = sub {
        defined($line = <STDIN>) or return 0;
        ($size += length $line) <= $MAX_HEAD or die "431 The head is too long.\n";
        $line =~ s/\r?\n\z// or die "400 The head ended too early.\n";
        return 1;
    };
    do { $next->() or return } while $line eq '';
    $line =~ m{^([A-Z]+) (\S+) HTTP/1\.([01])\z} or die "400 That is no HTTP/1 request.\n";
    my %request = (method => $1, target => $2, minor => $3, header => {});
    while (1) {
        $next->() or die "400 The head ended too early.\n";
        last if $line eq '';
        my ($name, $value) = $line =~ /^([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\z/
            or die "400 A header is wrong.\n";
        for ($request{header}{ lc $name }) { $_ = defined $_ ? "$_, $value" : $value }
    }
    my $connection = lc($request{header}{connection} || '');
    $request{close} = $request{minor} ? $connection =~ /\bclose\b/ : $connection !~ /\bkeep-alive\b/;
    return \%request;
}

sub read_body {
    my ($request) = @_;
    my ($coding, $length) = @{ $request->{header} }{qw(transfer-encoding content-length)};
    die "400 Content-Length and Transfer-Encoding exclude each other.\n"
        if defined $coding && defined $length;
    send_all("HTTP/1.1 100 Continue\r\n\r\n")
        if $request->{minor} && lc($request->{header}{expect} || '') eq '100-continue';
    return read_chunks() if defined $coding && lc $coding eq 'chunked';
    die "400 Transfer-Encoding must be chunked.\n" if defined $coding;
    return '' unless defined $length;
    $length =~ /^\d{1,15}\z/ or die "400 Content-Length must be a number.\n";
    return read_bytes($length, 0);
}

sub read_chunks {
    my $body = '';
    while (1) {
        my ($size) = read_line() =~ /^([0-9A-Fa-f]{1,8})[ \t]*(?:;|\z)/
            or die "400 A chunk has no size.\n";
        last unless $size = hex $size;
        $body .= read_bytes($size, length $body);
        read_line() eq '' or die "400 A chunk is longer than it says.\n";
    }
    1 while read_line() ne '';    # trailers
    return $body;
}

sub read_bytes {
    my ($length, $before) = @_;
    die "413 At most $MAX_BODY bytes.\n" if $length + $before > $MAX_BODY;
    my $got = read STDIN, my ($bytes), $length;
    defined $got && $got == $length or die "400 The body ended too early.\n";
    return $bytes;
}

sub read_line {
    my $line = <STDIN>;
    defined $line && $line =~ s/\r?\n\z// or die "400 The body ended too early.\n";
    return $line;
}

sub parse_query {
    my %query;
    for (split /&/, $_[0] // '') {
        my ($name, $value) = split /=/, $_, 2;
        for ($value //= '') { tr/+/ /; s/%([0-9A-Fa-f]{2})/chr hex $1/ge; utf8::decode($_) }
        $query{ $name // '' } = $value;
    }
    return \%query;
}

# The conversion.

sub convert {
    my ($csv, $query) = @_;
    utf8::decode($csv) or die "The body is not UTF-8.\n";
    $csv =~ s/^\x{FEFF}//;
    my $separator = $query->{separator} // ',';
    length $separator == 1 && $separator !~ /["\r\n]/ or die "The separator must be one character.\n";
    my $to_json = ($query->{header} // '') eq 'no' ? \&array : objects();
    my $json = '';
    each_row($csv, $separator, sub { $json .= &$to_json });
    $json =~ s/,\n\z//;
    utf8::encode($json = "[\n$json\n]\n");
    return $json;
}

sub array { return '[' . join(', ', map { quote($_) } @_) . "],\n" }

# objects() returns what makes an object of each row after the first, which has the keys.
sub objects {
    my ($number, @keys) = (0);
    return sub {
        if ($number++) {
            @_ == @keys or die "Row $number has " . @_ . ' fields, the header ' . @keys . ".\n";
            return '{' . join(', ', map { $keys[$_] . quote($_[$_]) } 0 .. $#keys) . "},\n";
        }
        my %seen;
        $seen{$_}++ and die "The header has a column twice.\n" for @_;
        @keys = map { quote($_) . ': ' } @_;
        return '';
    };
}

# each_row() calls $do with the fields of each row (RFC 4180; lines may end with a bare newline).
sub each_row {
    my ($csv, $separator, $do) = @_;
    my $end = qr/\G(?:(\Q$separator\E)|\r?\n|\z)/;
    my $field = qr/\G(?:"((?:[^"]++|"")*+)"|([^"\r\n\Q$separator\E][^\r\n\Q$separator\E]*+|(?!")))/;
    my ($rows, $columns, @row) = (0, 0);
    pos($csv) = 0;
    while (pos $csv < length $csv) {
        $csv =~ /$field/gc or die 'Row ' . ($rows + 1) . " has a quote that does not end.\n";
        push @row, defined $1 ? $1 =~ s/""/"/gr : $2;
        $csv =~ /$end/gc or die 'Row ' . ($rows + 1) . " goes on after a quoted field.\n";
        next if defined $1 && pos $csv < length $csv;
        push @row, '' if defined $1;    # a separator ends the file: one more field, an empty one
        $columns ||= @row;
        if ($columns == 1 || "@row" ne '') {    # else a blank line
            $rows++;
            $do->(@row);
        }
        @row = ();
    }
    return;
}

sub quote {
    my ($string) = @_;
    $string =~ s/(["\\])/\\$1/g;
    $string =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return qq("$string");
}

# What goes out.

sub respond {
    my ($request, $status, $content, @headers) = @_;
    my ($kind, $body) = @$content;
    push @headers, $request->{close} ? 'Connection: close' : $request->{minor} ? () : 'Connection: keep-alive';
    my $head = join "\r\n", "HTTP/1.1 $status $REASON{$status}", "Content-Type: $kind",
        'Content-Length: ' . length $body, @headers, '', '';
    send_all(($request->{method} // '') eq 'HEAD' ? $head : $head . $body);
    return !$request->{close};
}

sub send_all {
    my ($bytes) = @_;
    local $| = 1;
    print STDOUT $bytes or exit 0;
    return;
}
