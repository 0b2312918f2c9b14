package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const stopLimit = 30 * time.Second

// daemon is a program that runs beside this one and dies with it.
type daemon struct {
	command *exec.Cmd
	output  bytes.Buffer  // what it printed
	done    chan struct{} // closed when it has ended
}

// startDaemon starts a program; `environment` nil: this one's.
func startDaemon(program string, arguments, environment []string) (*daemon, error) {
	d := &daemon{done: make(chan struct{})}
	d.command = exec.Command(program, arguments...)
	d.command.Env = environment
	d.command.Stdout, d.command.Stderr = &d.output, &d.output
	d.command.WaitDelay = time.Second // were `program` a wrapper, its child could keep the output open
	d.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread that forked
		defer runtime.UnlockOSThread()
		defer close(d.done)
		err := d.command.Start()
		started <- err
		if err == nil {
			d.command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return d, nil
}

// stop ends it with SIGTERM.
func (d *daemon) stop() error {
	d.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
		return nil
	case <-time.After(stopLimit):
		d.command.Process.Kill()
		<-d.done
		return fmt.Errorf("%s did not stop within %v\n%s", d.command.Path, stopLimit, d.output.String())
	}
}

// cpu is the processor time, user and system, that all its threads have used so far: the sum that /proc/PID/stat shows in
// ticks of 10 ms, in nanoseconds.
func (d *daemon) cpu() (time.Duration, error) {
	clock := int32(^d.command.Process.Pid<<3 | 2) // CPUCLOCK_SCHED of a process; see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}
