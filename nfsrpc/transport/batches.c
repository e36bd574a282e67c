/* Several datagrams in one system call. What is done here is defined by batches.py beside this file, which is what runs
 * where nothing is compiled (see setup.py): names, numbers, arguments and answers are the same.
 *
 * The interpreter's lock is kept: nothing waits, and while the kernel looks at memory of Python's objects, no thread and
 * no finalizer may run. So no object is made between the first look at what is to be sent and the last system call. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
	COUNT = 32,
	PARTS = 16,
	NAME = 32,
	SLOT = 1 << 16,
	CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)),
	COPIED = 8192,
};

struct whence {
	char name[NAME];
	_Alignas(struct cmsghdr) char control[CONTROL];
};

typedef struct {
	PyObject_HEAD
	PyObject *sock;
	int connected;
} Outgoing;

typedef struct {
	Outgoing socket;
	struct mmsghdr headers[COUNT];
	struct iovec iovecs[COUNT];
	struct whence whences[COUNT];
	PyObject *slots[COUNT]; /* bytes of SLOT that are received into, made when they are first wanted */
} Incoming;

/* The socket is asked each time: one that has been closed says -1, and what its number may belong to now is spared. */
static int descriptor_of(PyObject *sock, int *descriptor)
{
	PyObject *number = PyObject_CallMethod(sock, "fileno", NULL);
	if (!number)
		return -1;
	*descriptor = (int)PyLong_AsLong(number);
	Py_DECREF(number);
	return *descriptor == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *Socket_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"sock", NULL};
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	PyObject *sock;
	int descriptor;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &sock) || descriptor_of(sock, &descriptor) < 0)
		return NULL;
	Outgoing *self = (Outgoing *)type->tp_alloc(type, 0);
	if (self) {
		self->sock = Py_NewRef(sock);
		self->connected = getpeername(descriptor, (struct sockaddr *)&peer, &length) == 0;
	}
	return (PyObject *)self;
}

static void Outgoing_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	Py_CLEAR(((Outgoing *)self)->sock);
	type->tp_free(self);
	Py_DECREF(type);
}

static void Incoming_dealloc(PyObject *self)
{
	for (int i = 0; i < COUNT; i++)
		Py_CLEAR(((Incoming *)self)->slots[i]);
	Outgoing_dealloc(self);
}

static int new_slot(Incoming *self, int i)
{
	PyObject *slot = PyBytes_FromStringAndSize(NULL, SLOT);
	if (!slot)
		return -1;
	self->slots[i] = slot;
	self->iovecs[i] = (struct iovec){PyBytes_AS_STRING(slot), SLOT};
	return 0;
}

/* The message in slot i: a short one as a copy, a long one as the slot itself, which then gets another. */
static PyObject *message(Incoming *self, int i)
{
	Py_ssize_t length = self->headers[i].msg_len;
	PyObject *slot = self->slots[i];
	if (length <= COPIED)
		return PyBytes_FromStringAndSize(PyBytes_AS_STRING(slot), length);
	if (new_slot(self, i) < 0)
		return NULL;
	_PyBytes_Resize(&slot, length);
	return slot;
}

static PyObject *datagram(Incoming *self, int i)
{
	PyObject *data = message(self, i);
	PyObject *whence = PyBytes_FromStringAndSize(self->whences[i].name, NAME + self->headers[i].msg_hdr.msg_controllen);
	PyObject *pair = data && whence ? PyTuple_Pack(2, data, whence) : NULL;
	Py_XDECREF(data);
	Py_XDECREF(whence);
	return pair;
}

/* Makes ready for so many datagrams. */
static int prepare(Incoming *self, int most)
{
	for (int i = 0; i < most; i++) {
		struct whence *whence = &self->whences[i];
		if (!self->slots[i] && new_slot(self, i) < 0)
			return -1;
		self->headers[i].msg_hdr = (struct msghdr){
			.msg_name = self->socket.connected ? NULL : whence->name,
			.msg_namelen = self->socket.connected ? 0 : NAME, .msg_iov = &self->iovecs[i],
			.msg_iovlen = 1, .msg_control = whence->control, .msg_controllen = CONTROL,
		};
	}
	return 0;
}

static PyObject *Incoming_receive(PyObject *object, PyObject *room)
{
	Incoming *self = (Incoming *)object;
	int descriptor, overflow;
	long most = PyLong_AsLongAndOverflow(room, &overflow);
	if ((most == -1 && PyErr_Occurred()) || descriptor_of(self->socket.sock, &descriptor) < 0)
		return NULL;
	most = overflow > 0 || most > COUNT ? COUNT : most < 0 ? 0 : most;
	if (prepare(self, (int)most) < 0)
		return NULL;
	int count = recvmmsg(descriptor, self->headers, most, MSG_DONTWAIT, NULL);
	if (count < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	PyObject *found = PyList_New(count);
	for (int i = 0; found && i < count; i++) {
		PyObject *pair = datagram(self, i);
		if (pair)
			PyList_SET_ITEM(found, i, pair);
		else
			Py_CLEAR(found);
	}
	return found;
}

static int refuse(PyObject *type, const char *why)
{
	PyErr_SetString(type, why);
	return -1;
}

/* Lets header lead to the parts of one datagram, a tuple of them and whither; borrows all of it. */
static int lead(struct msghdr *header, struct iovec *iovecs, PyObject *pair, int connected)
{
	if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
		return refuse(PyExc_TypeError, "a datagram is a tuple of two");
	PyObject *parts = PyTuple_GET_ITEM(pair, 0), *whither = PyTuple_GET_ITEM(pair, 1);
	if (!PyList_Check(parts) || !PyBytes_Check(whither))
		return refuse(PyExc_TypeError, "a datagram is a list of parts, and an address as bytes");
	Py_ssize_t count = PyList_GET_SIZE(parts), size = PyBytes_GET_SIZE(whither);
	if (count > PARTS)
		return refuse(PyExc_ValueError, "too many parts");
	if (connected ? size != 0 : size < NAME || size > NAME + CONTROL)
		return refuse(PyExc_ValueError, "a connected socket has its peer's address, any other needs one");
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *part = PyList_GET_ITEM(parts, i);
		if (!PyBytes_Check(part))
			return refuse(PyExc_TypeError, "a part is bytes");
		iovecs[i] = (struct iovec){PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part)};
	}
	*header = (struct msghdr){.msg_iov = iovecs, .msg_iovlen = count};
	if (!connected) {
		header->msg_name = PyBytes_AS_STRING(whither);
		header->msg_namelen = NAME;
		header->msg_control = PyBytes_AS_STRING(whither) + NAME;
		header->msg_controllen = size - NAME;
	}
	return 0;
}

/* Sends all that can leave; of the others, the error of each, 0 for those that have left. */
static void send_all(int descriptor, struct mmsghdr *headers, int count, int *errors)
{
	for (int done = 0; done < count;) {
		int sent = sendmmsg(descriptor, headers + done, count - done, MSG_DONTWAIT);
		if (sent < 0) {
			errors[done] = errno;
			sent = 1;
		}
		done += sent;
	}
}

static PyObject *failures(const int *errors, int count)
{
	PyObject *failed = PyList_New(0);
	for (int i = 0; failed && i < count; i++) {
		if (!errors[i])
			continue;
		PyObject *words = PyUnicode_DecodeLocale(strerror(errors[i]), "surrogateescape");
		PyObject *error = words ? PyObject_CallFunction(PyExc_OSError, "iN", errors[i], words) : NULL;
		PyObject *pair = error ? Py_BuildValue("iN", i, error) : NULL;
		if (!pair || PyList_Append(failed, pair) < 0)
			Py_CLEAR(failed);
		Py_XDECREF(pair);
	}
	return failed;
}

static PyObject *Outgoing_send(PyObject *object, PyObject *datagrams)
{
	Outgoing *self = (Outgoing *)object;
	struct mmsghdr headers[COUNT];
	struct iovec iovecs[COUNT][PARTS];
	int errors[COUNT] = {0}, descriptor, result = 0;
	if (!PyList_Check(datagrams) || PyList_GET_SIZE(datagrams) > COUNT) {
		PyErr_SetString(PyExc_ValueError, "a list of no more than COUNT datagrams is wanted");
		return NULL;
	}
	if (descriptor_of(self->sock, &descriptor) < 0)
		return NULL;
	int count = (int)PyList_GET_SIZE(datagrams);
	for (int i = 0; i < count && !result; i++)
		result = lead(&headers[i].msg_hdr, iovecs[i], PyList_GET_ITEM(datagrams, i), self->connected);
	if (result < 0)
		return NULL;
	send_all(descriptor, headers, count, errors);
	return failures(errors, count);
}

static PyMethodDef Incoming_methods[] = {{"receive", Incoming_receive, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static PyMethodDef Outgoing_methods[] = {{"send", Outgoing_send, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static PyType_Slot Incoming_slots[] = {
	{Py_tp_new, Socket_new}, {Py_tp_dealloc, Incoming_dealloc}, {Py_tp_methods, Incoming_methods}, {0, NULL},
};
static PyType_Slot Outgoing_slots[] = {
	{Py_tp_new, Socket_new}, {Py_tp_dealloc, Outgoing_dealloc}, {Py_tp_methods, Outgoing_methods}, {0, NULL},
};

enum { FLAGS = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE };

static PyType_Spec types[] = {
	{"nfsrpc.transport.batches.Incoming", sizeof(Incoming), 0, FLAGS, Incoming_slots},
	{"nfsrpc.transport.batches.Outgoing", sizeof(Outgoing), 0, FLAGS, Outgoing_slots},
};

static int fill(PyObject *module)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		PyObject *type = PyType_FromSpec(&types[i]);
		int result = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
		Py_XDECREF(type);
		if (result < 0)
			return -1;
	}
	if (PyModule_AddObjectRef(module, "AVAILABLE", Py_True) < 0 || PyModule_AddObjectRef(module, "CHEAP", Py_True) < 0 ||
	    PyModule_AddIntMacro(module, COUNT) < 0 || PyModule_AddIntMacro(module, PARTS) < 0)
		return -1;
	return PyModule_AddIntMacro(module, NAME);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "batches", .m_slots = slots};

PyMODINIT_FUNC PyInit_batches(void)
{
	return PyModuleDef_Init(&definition);
}
