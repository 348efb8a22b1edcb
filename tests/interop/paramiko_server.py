"""An SSH server of paramiko's: runs commands, has SFTP for reading. Arguments: a host key, the
keys that may log in, after how many mebibytes it wants new keys, how often
it asks whether the client is there.

Prints its port, and serves until its standard input ends."""

import os
import socket
import subprocess
import sys
import threading
import warnings

# Old ciphers are announced as such by the library below.
warnings.filterwarnings("ignore")
import paramiko  # noqa: E402
from paramiko.packet import Packetizer  # noqa: E402

MEBIBYTE = 1 << 20


class Files(paramiko.SFTPServerInterface):
    def open(self, path, flags, attr):
        handle = paramiko.SFTPHandle(flags)
        try:
            handle.readfile = open(path, "rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return handle


class Server(paramiko.ServerInterface):
    def __init__(self, authorized):
        self.authorized = authorized

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        accepted = key.get_base64() in self.authorized
        return paramiko.AUTH_SUCCESSFUL if accepted else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=run, args=(channel, command), daemon=True).start()
        return True


def feed(channel, stdin):
    try:
        while data := channel.recv(MEBIBYTE):
            stdin.write(data)
            stdin.flush()
        stdin.close()
    except (BrokenPipeError, ValueError):
        pass


def drain(stream, send):
    while data := os.read(stream.fileno(), 32768):
        send(data)


def run(channel, command):
    pipe = subprocess.PIPE
    child = subprocess.Popen(["/bin/sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe)
    threading.Thread(target=feed, args=(channel, child.stdin), daemon=True).start()
    errors = threading.Thread(target=drain, args=(child.stderr, channel.sendall_stderr), daemon=True)
    errors.start()
    drain(child.stdout, channel.sendall)
    errors.join()
    # There is no call for the end by a signal: shells report it as 128 and the signal's number.
    status = child.wait()
    channel.send_exit_status(status if status >= 0 else 128 - status)
    channel.close()


def serve(connection, host_key, authorized, keepalive):
    transport = paramiko.Transport(connection)
    transport.add_server_key(host_key)
    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
    try:
        transport.start_server(server=Server(authorized))
        transport.set_keepalive(keepalive)
    except (paramiko.SSHException, EOFError):
        transport.close()


def accept(listener, *arguments):
    while True:
        connection, _ = listener.accept()
        serve(connection, *arguments)


def main(host_key, authorized, rekey, keepalive):
    Packetizer.REKEY_BYTES = int(rekey) * MEBIBYTE
    with open(authorized) as lines:
        authorized = [line.split()[1] for line in lines if line.strip()]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    arguments = (listener, paramiko.Ed25519Key(filename=host_key), authorized, int(keepalive))
    threading.Thread(target=accept, args=arguments, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main(*sys.argv[1:5])
