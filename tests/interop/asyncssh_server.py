"""An SSH server of asyncssh's: runs commands, has SFTP. Arguments: a host key, the keys that may log
in, after how many mebibytes it wants new keys, how often it asks whether the client
is there.

Prints its port, and serves until its standard input ends."""

import asyncio
import signal
import sys
import warnings

# Old ciphers are announced as such by the library below.
warnings.filterwarnings("ignore")
import asyncssh  # noqa: E402

MEBIBYTE = 1 << 20


async def feed(process, stdin, child):
    """Passes input and signals on."""
    while True:
        try:
            data = await process.stdin.read(MEBIBYTE)
        except asyncssh.SignalReceived as received:
            child.send_signal(getattr(signal, "SIG" + received.signal))
            continue
        if not data:
            break
        stdin.write(data)
        try:
            await stdin.drain()
        except ConnectionError:
            return
    stdin.close()


async def drain(stream, writer):
    """Passes output on, at the client's pace."""
    while data := await stream.read(65536):
        writer.write(data)
        await writer.drain()


async def serve(process):
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", process.command, stdin=pipe, stdout=pipe, stderr=pipe
    )
    feeder = asyncio.ensure_future(feed(process, child.stdin, child))
    await asyncio.gather(drain(child.stdout, process.stdout), drain(child.stderr, process.stderr))
    status = await child.wait()
    feeder.cancel()
    if status < 0:
        process.exit_with_signal(signal.Signals(-status).name[3:])
    else:
        process.exit(status)


async def main(host_key, authorized, rekey, keepalive):
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=serve,
        sftp_factory=True,
        encoding=None,
        rekey_bytes=int(rekey) * MEBIBYTE,
        keepalive_interval=int(keepalive),
        keepalive_count_max=4,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main(*sys.argv[1:5]))
