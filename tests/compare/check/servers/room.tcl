# A right chat room in its own words: `tclsh room.tcl PORT`. A name that is in use is refused.
set port [lindex $argv 0]
array set named {}

proc tellOthers {me line} {
    global named
    foreach channel [array names named] {
        if {$channel ne $me} { catch { puts $channel $line } }
    }
}

proc leave {channel} {
    global named
    catch { close $channel }
    if {[info exists named($channel)]} {
        set name $named($channel)
        unset named($channel)
        tellOthers $channel "* so long, $name"
    }
}

proc receive {channel} {
    global named
    if {[catch { gets $channel line } count] || ($count < 0 && [eof $channel])} {
        leave $channel
    } elseif {$count >= 0 && [eof $channel]} {
        leave $channel
    } elseif {$count >= 0 && [info exists named($channel)]} {
        tellOthers $channel "\[$named($channel)\] $line"
    } elseif {$count >= 0} {
        enter $channel [string trimright $line]
    }
}

proc enter {channel name} {
    global named
    set others {}
    foreach each [array names named] { lappend others $named($each) }
    if {![regexp {^[A-Za-z0-9]+$} $name] || $name in $others} {
        catch { puts $channel "* no: try again later" }
        catch { close $channel }
        return
    }
    puts $channel "* [llength $others] others ([join $others { }])"
    tellOthers $channel "* welcome, $name"
    set named($channel) $name
}

proc accept {channel host peer} {
    fconfigure $channel -blocking 0 -buffering line -translation {lf lf} -encoding binary
    fileevent $channel readable [list receive $channel]
    puts $channel "* say who you are"
}

if {[catch { socket -server accept -myaddr 127.0.0.1 $port } error]} {
    puts stderr "port $port: $error"
    exit 1
}
vwait forever
