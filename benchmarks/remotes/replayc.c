/*
 * replayc: the least that a client can spend on a DICOM verification: it replays bytes and looks at types and status.
 *
 *     replayc PORT CHECKS AT_ONCE ASSOCIATE_RQ ECHO_RQ        (the two PDUs in hexadecimal)
 *
 * Every check goes to an address of its own: 127.0.0.1 to 127.0.0.250, 127.0.1.1 to 127.0.1.250, and so on. As lbkit
 * does, it sets TCP_NODELAY and sets TCP_QUICKACK after every read. It prints one line of JSON: how many checks were
 * up, the CPU and the wall time they took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 70000, BUFFER = 1024, BATCH = 256 };
enum step { CONNECTING, ASSOCIATING, ECHOING, RELEASING };
enum { ASSOCIATE_AC = 2, P_DATA = 4, RELEASE_RP = 6 };

struct pdu {
    size_t size;
    unsigned char bytes[BUFFER];
};

struct check {
    enum step step;
    size_t held;
    unsigned char bytes[BUFFER];
};

static struct pdu associate_rq, echo_rq, release_rq = {10, "\x05\0\0\0\0\x04"};
static struct check checks[MAX_FD]; /* by file descriptor */
static long started, up;
static int epoll, port;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_hex(struct pdu *pdu, const char *hex)
{
    while (pdu->size < BUFFER && sscanf(hex + 2 * pdu->size, "%2hhx", pdu->bytes + pdu->size) == 1) pdu->size++;
}

static void start(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || fd >= MAX_FD) fail("socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl((unsigned)(0x7f000001 + started / 250 * 256 + started % 250));
    started++;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    checks[fd].step = CONNECTING;
    checks[fd].held = 0;
}

static int send_pdu(int fd, const struct pdu *pdu)
{
    return write(fd, pdu->bytes, pdu->size) == (ssize_t)pdu->size;
}

static int connected(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    checks[fd].step = ASSOCIATING;
    return !error && send_pdu(fd, &associate_rq) && !epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* Take what was read one step further; 0 when the check has ended, well or badly. */
static int advance(int fd)
{
    struct check *c = &checks[fd];
    int one = 1;
    if (c->step == CONNECTING) return connected(fd);
    ssize_t got = read(fd, c->bytes + c->held, sizeof c->bytes - c->held);
    if (got <= 0) return 0;
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    c->held += (size_t)got;
    if (c->held < 6) return 1;
    unsigned length;
    memcpy(&length, c->bytes + 2, 4);
    size_t size = 6 + (size_t)ntohl(length);
    if (c->held < size) return 1;
    c->held = 0;
    if (c->step == ASSOCIATING && c->bytes[0] == ASSOCIATE_AC) {
        c->step = ECHOING;
        return send_pdu(fd, &echo_rq);
    }
    if (c->step == ECHOING && c->bytes[0] == P_DATA && !c->bytes[size - 1] && !c->bytes[size - 2]) {
        c->step = RELEASING;
        return send_pdu(fd, &release_rq);
    }
    if (c->step == RELEASING && c->bytes[0] == RELEASE_RP) up++;
    return 0;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 6) return fprintf(stderr, "usage: replayc PORT CHECKS AT_ONCE ASSOCIATE_RQ ECHO_RQ\n"), 2;
    long total = atol(argv[2]), at_once = atol(argv[3]), ended = 0;
    port = atoi(argv[1]);
    read_hex(&associate_rq, argv[4]);
    read_hex(&echo_rq, argv[5]);
    epoll = epoll_create1(0);

    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    struct epoll_event ready[BATCH];
    while (started < total && started < at_once) start();
    while (ended < total) {
        int count = epoll_wait(epoll, ready, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (advance(fd)) continue;
            close(fd);
            ended++;
            if (started < total) start();
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall, cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"up\": %ld, \"cpu_s\": %.6f, \"wall_s\": %.6f}\n", up, cpu, wall);
    return 0;
}
