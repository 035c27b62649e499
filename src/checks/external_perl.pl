# What a perl that waits for checks does before the program of the check, which perl has compiled by then: for each
# request it forks, and the child goes on into the program.
#
# A request is its length (32 bits) and the arguments, each with its length before it. The answer is the status as
# wait(2) has it (16 bits). Both go over standard input, which is a socket.
#
# Handed to perl as the text of `use VERSION; ...`, on one line, so that the lines of the program keep their numbers.
5;
{
    local $SIG{CHLD} = 'DEFAULT';
    local $^W = 0;
    open(my $director, '+<&', \*STDIN) or die "cannot keep the socket: $!\n";
    binmode $director;
    open(STDIN, '<', '/dev/null') or die "cannot open /dev/null: $!\n";
    # Who looks at the processes sees the program, and not all of this.
    $0 = "$0";
    # What the program wrote while it was compiled is not to be written by each child again.
    my $unbuffered = $|; $| = 1; $| = $unbuffered;
    my $data = tell(DATA);
    my $hear = sub {
        my ($length, $heard) = (@_, '');
        while (length $heard < $length) {
            sysread($director, $heard, $length - length $heard, length $heard) or last;
        }
        return $heard;
    };
    while (1) {
        my $length = $hear->(4);
        # Without a director there is nothing to do. The END blocks are the program's, and none of ours.
        kill 'KILL', $$ if length $length < 4;
        my @arguments = unpack '(N/a*)*', $hear->(unpack 'N', $length);
        defined(my $child = fork) or die "cannot fork: $!\n";
        if (!$child) {
            @ARGV = @arguments;
            last;
        }
        waitpid $child, 0;
        syswrite $director, pack('n', $?);
    }
    # Files are shared with the parent, and so is what is left of them.
    seek(DATA, $data, 0) if $data >= 0;
    srand;
    $^T = time;
}
@_ = @ARGV;
