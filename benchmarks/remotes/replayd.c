/*
 * replayd: a DICOM verification responder that keeps up with any client, for benchmarks.
 *
 *     replayd [[ADDRESS:]PORT] [--silent]
 *
 * It answers A-ASSOCIATE-RQ, C-ECHO-RQ and A-RELEASE-RQ with fixed bytes and checks nothing; with --silent it accepts,
 * reads and never answers. It listens on every 127.x.y.z address, or on ADDRESS alone: the socket takes any address but
 * is bound to the device "lo". PORT 0 or absent means a free port; the port is printed in one line once connections are
 * accepted. It ends with the process that started it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 70000, BUFFER = 4096, BATCH = 256, BACKLOG = 4096 };

/* The PDU types of PS3.8 section 9.3. */
enum { ASSOCIATE_RQ = 1, P_DATA = 4, RELEASE_RQ = 5, ABORT = 7 };

struct connection {
    size_t held;                   /* bytes read and not yet answered */
    unsigned char bytes[BUFFER];
};

static struct connection *connections[MAX_FD]; /* by file descriptor; kept for the next connection of that number */

/* A-ASSOCIATE-AC (PS3.8 table 9-17): context accepted with Implicit VR Little Endian. */
static const unsigned char associate_ac[] =
    "\x02\0\0\0\0\x9e\0\x01\0\0"                                       /* type, length 158, protocol version 1 */
    "0123456789abcdef0123456789abcdef"                                 /* AE titles: copied from the request */
    "0123456789abcdef0123456789abcdef"                                 /* 32 reserved bytes: likewise */
    "\x10\0\0\x15" "1.2.840.10008.3.1.1.1"                             /* application context */
    "\x21\0\0\x19\x01\0\0\0" "\x40\0\0\x11" "1.2.840.10008.1.2"        /* context, its id at 103: accepted */
    "\x50\0\0\x20" "\x51\0\0\x04\0\0\x40\0"                            /* user information: maximum length */
    "\x52\0\0\x0a" "1.2.3.4.55" "\x55\0\0\x06" "REPLAY";               /* implementation class UID, version */
enum { AE_TITLES = 10, AE_TITLES_LENGTH = 64, CONTEXT_ITEM = 99, CONTEXT_ID = 103 };

/* P-DATA-TF with a C-ECHO-RSP, status 0000H (PS3.7 table 9.3-13). */
static const unsigned char echo_rsp[] =
    "\x04\0\0\0\0\x54" "\0\0\0\x50\x01\x03"                            /* PDU; PDV: context id at 10, last command */
    "\0\0\0\0\x04\0\0\0\x42\0\0\0"                                     /* (0000,0000) group length */
    "\0\0\x02\0\x12\0\0\0" "1.2.840.10008.1.1\0"                       /* (0000,0002) affected SOP class */
    "\0\0\0\x01\x02\0\0\0\x30\x80"                                     /* (0000,0100) C-ECHO-RSP */
    "\0\0\x20\x01\x02\0\0\0\x01\0"                                     /* (0000,0120) message id at 68 */
    "\0\0\0\x08\x02\0\0\0\x01\x01"                                     /* (0000,0800) no data set */
    "\0\0\0\x09\x02\0\0\0\0\0";                                        /* (0000,0900) status: success */
enum { PDV_CONTEXT = 10, MESSAGE_ID = 68 };                            /* the same two offsets in the request */
_Static_assert(sizeof associate_ac - 1 == 6 + 158 && sizeof echo_rsp - 1 == 6 + 84, "a PDU's length is wrong");

static const unsigned char release_rp[] = "\x06\0\0\0\0\x04\0\0\0";    /* the terminating NUL is its last byte */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on_loopback(const char *place)
{
    const char *colon = strchr(place, ':');
    char text[16] = "0.0.0.0";
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon ? colon + 1 : place))};
    if (colon) snprintf(text, sizeof text, "%.*s", (int)(colon - place), place);
    if (!inet_aton(text, &address.sin_addr)) { fprintf(stderr, "%s is no address\n", text); exit(1); }
    if (fd < 0) fail("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) fail("SO_BINDTODEVICE lo");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(fd, BACKLOG)) fail("listen");
    return fd;
}

static void print_port(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &size)) fail("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void accept_all(int listener, int epoll)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= MAX_FD) { close(fd); continue; }
        if (!connections[fd] && !(connections[fd] = malloc(sizeof **connections))) fail("malloc");
        connections[fd]->held = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int send_all(int fd, const void *bytes, size_t size)
{
    return write(fd, bytes, size) == (ssize_t)size; /* a few hundred bytes: they always fit the socket's buffer */
}

/* Answer one whole PDU; 0 when the connection is to be closed. */
static int answer(int fd, const unsigned char *pdu, size_t size)
{
    unsigned char reply[sizeof associate_ac];
    switch (pdu[0]) {
    case ASSOCIATE_RQ:
        if (size <= CONTEXT_ID) return 0;
        memcpy(reply, associate_ac, sizeof associate_ac - 1);
        memcpy(reply + AE_TITLES, pdu + AE_TITLES, AE_TITLES_LENGTH);
        if (pdu[CONTEXT_ITEM] == 0x20) reply[CONTEXT_ID] = pdu[CONTEXT_ID];
        return send_all(fd, reply, sizeof associate_ac - 1);
    case P_DATA:
        if (size < MESSAGE_ID + 2) return 0;
        memcpy(reply, echo_rsp, sizeof echo_rsp - 1);
        reply[PDV_CONTEXT] = pdu[PDV_CONTEXT];
        memcpy(reply + MESSAGE_ID, pdu + MESSAGE_ID, 2);
        return send_all(fd, reply, sizeof echo_rsp - 1);
    case RELEASE_RQ:
        return send_all(fd, release_rp, sizeof release_rp);
    default:
        return 0;
    }
}

/* Read what is there and answer every whole PDU; 0 when the connection is to be closed. */
static int serve(int fd, int silent)
{
    struct connection *c = connections[fd];
    ssize_t got = read(fd, c->bytes + c->held, sizeof c->bytes - c->held);
    if (got <= 0) return 0;
    if (silent) return 1;
    c->held += (size_t)got;
    while (c->held >= 6) {
        unsigned length;
        memcpy(&length, c->bytes + 2, 4);
        size_t size = 6 + (size_t)ntohl(length);
        if (size > sizeof c->bytes) return 0;
        if (size > c->held) break;
        if (!answer(fd, c->bytes, size)) return 0;
        c->held -= size;
        memmove(c->bytes, c->bytes + size, c->held);
    }
    return 1;
}

int main(int argc, char **argv)
{
    int silent = argc > 1 && !strcmp(argv[argc - 1], "--silent");
    const char *place = argc - silent > 1 ? argv[1] : "0";
    struct rlimit files;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int listener = listen_on_loopback(place), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[BATCH];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    print_port(listener);
    for (;;) {
        int count = epoll_wait(epoll, ready, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) accept_all(listener, epoll);
            else if (!serve(fd, silent)) close(fd);
        }
    }
}
