# A right chat room in its own words: `perl room.pl PORT`. One loop of select(); names have at most
# 16 characters, messages 1,000, and nobody is told why it is sent away.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($port) = @ARGV;
my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 50, ReuseAddr => 1
) or die "cannot listen at port $port: $!\n";
my $select = IO::Select->new($listener);
my (%name, %rest);
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

sub tell_others {
    my ($me, $line) = @_;
    for my $socket ($select->handles) {
        syswrite $socket, "$line\n" if $socket != $listener && $socket != $me && defined $name{$socket};
    }
}

sub leave {
    my ($socket) = @_;
    $select->remove($socket);
    my $name = delete $name{$socket};
    delete $rest{$socket};
    close $socket;
    tell_others($socket, "* Gone: $name.") if defined $name;
}

sub received {    # whether it may stay
    my ($socket, $line) = @_;
    if (defined $name{$socket}) {
        return 0 if length $line > 1000;
        tell_others($socket, "[$name{$socket}] $line");
        return 1;
    }
    return 0 unless $line =~ /\A[A-Za-z0-9]{1,16}\z/;
    my $others = join ', ', map { "<$_>" } sort values %name;
    syswrite $socket, "* Already here: $others\n";
    tell_others($socket, "* Come: $line.");
    $name{$socket} = "$line";
    return 1;
}

while (1) {
    for my $socket ($select->can_read) {
        if ($socket == $listener) {
            my $new = $listener->accept or next;
            $select->add($new);
            $rest{$new} = '';
            syswrite $new, "Name, please\n";
            next;
        }
        next unless defined $rest{$socket};
        my $got = sysread $socket, $rest{$socket}, 65536, length $rest{$socket};
        unless ($got) { leave($socket); next }
        while (defined $rest{$socket} && $rest{$socket} =~ s/\A([^\n]*)\n//) {
            (my $line = $1) =~ s/\s+\z//;
            leave($socket) unless received($socket, $line);
        }
    }
}
