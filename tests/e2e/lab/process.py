"""Child processes that never outlive their test."""

import ctypes
import os
import signal
import subprocess
import termios
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(AssertionError):
    """A test's expectation does not hold; the message says which."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(what, condition, seconds=30.0, alive=None):
    """Polls `condition` until it returns something true, and returns that. Fails after `seconds`, or as soon as the
    process `alive` has ended."""
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if alive is not None:
            alive.check_running()
        if time.monotonic() > limit:
            raise Failure(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


class Process:
    """A daemon, started at once; its output goes to `log`. Stopped by stop() or, at the latest, by the Lab."""

    def __init__(self, name, arguments, log: Path, environment=None):
        self.name, self.log = name, Path(log)
        self._output = open(self.log, "ab")
        self._child = subprocess.Popen(
            [str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            env=environment, preexec_fn=_die_with_parent, start_new_session=True)
        self.pid = self._child.pid

    def running(self):
        return self._child.poll() is None

    def check_running(self):
        if not self.running():
            raise Failure(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, how=signal.SIGTERM, seconds=30.0):
        """Sends `how` and waits for the end; returns the exit code. Fails when it takes longer."""
        if self.running():
            self._child.send_signal(how)
        try:
            code = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise Failure(f"{self.name} did not end within {seconds:g} s of {how!r}:\n{self.tail()}") from None
        finally:
            self._output.close()
        return code


def command(arguments, environment=None, seconds=120.0, check=True, stdin=None):
    """Runs a program to its end and returns subprocess.CompletedProcess with text. Fails on a non-zero exit code
    when `check`."""
    arguments = [str(a) for a in arguments]
    done = subprocess.run(arguments, env=environment, input=stdin, capture_output=True, timeout=seconds,
                          preexec_fn=_die_with_parent)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def command_in_background(arguments, environment=None):
    """Starts a program whose output is collected by communicate()."""
    return subprocess.Popen([str(a) for a in arguments], env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent, text=True)


def command_on_terminal(arguments, columns):
    """Runs a program, which must succeed, with a terminal for standard error; returns what appeared there."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    child = subprocess.Popen([str(a) for a in arguments], env={**os.environ, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=slave, preexec_fn=_die_with_parent)
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:
        pass  # so Linux says that nobody holds the other end any more
    os.close(master)
    text = shown.decode(errors="replace")
    if child.wait(timeout=60) != 0:
        raise Failure(f"{' '.join(map(str, arguments))}: exit code {child.returncode}: {text}")
    return text


def unmount_below(directory):
    """Unmounts everything mounted below `directory`, the deepest first."""
    prefix = str(directory) + "/"
    with open("/proc/self/mountinfo") as table:
        points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    for point in sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)


def processes_naming(text):
    """Pids of processes whose command line has `text` in it: how shims, which leave their parent, are found."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found
