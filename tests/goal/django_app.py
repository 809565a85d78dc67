"""A Django application as many are: customers and their orders, the admin, accounts and sessions, driven through its
own pages and its ORM. What it sends to the database is what `make goal` judges."""
import datetime
import os
import random

import pymysql

pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()

import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="only for this run", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=False, DEBUG=False,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "django.contrib.messages", "shop"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
        "context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                               "django.contrib.messages.context_processors.messages"]}}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.mysql", "HOST": "127.0.0.1", "PORT": os.environ["GOAL_PORT"], "USER": "root",
        "NAME": os.environ["GOAL_SCHEMA"], "OPTIONS": {"charset": "utf8mb4"}, "ATOMIC_REQUESTS": True}},
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.paginator import Paginator  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import Count, F, Max, Prefetch, Q, Sum  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from shop.models import Customer, Line, Order, Product, Tag  # noqa: E402


urlpatterns = [path("admin/", admin.site.urls)]
rng = random.Random(1)


def fill():
    with connection.schema_editor() as editor:
        for model in (Customer, Tag, Product, Order, Line):
            editor.create_model(model)
    User.objects.create_superuser("admin", "admin@example.org", "secret")
    Tag.objects.bulk_create([Tag(label=f"tag-{n}") for n in range(6)])
    for n in range(30):
        product = Product.objects.create(name=f"Product {n}", price=n + 1, stock=100)
        product.tags.set(Tag.objects.order_by("?")[:2])
    Customer.objects.bulk_create([customer(n) for n in range(40)])


def customer(n):
    return Customer(number=f"C{n:05}", company=f"Company {n}", contact=f"Person {n}", phone=f"+44 20 7946 {n:04}",
                    street=f"{n} High Street", city=["London", "Paris", "Bern"][n % 3], notes="likes tea",
                    born_on=datetime.date(1970 + n % 30, 1, 1), tax_id=f"GB{n:09}")


def order(buyer):
    with transaction.atomic():
        made = Order.objects.create(customer=buyer, card="4111 1111 1111 1111", comment="leave at the door")
        for product in Product.objects.select_for_update().filter(stock__gt=0).order_by("id")[:3]:
            Line.objects.create(order=made, product=product, quantity=2, price=product.price)
            Product.objects.filter(pk=product.pk).update(stock=F("stock") - 2)
    return made


def orm():
    """What views of such an application do."""
    buyer = Customer.objects.get(number=f"C{rng.randrange(40):05}")
    made = order(buyer)
    buyer.phone, buyer.notes = "+41 31 000 00 00", "moved"
    buyer.save()
    Customer.objects.filter(pk=buyer.pk).update(street="1 New Street", city="Bern")
    buyer.refresh_from_db()
    buyer.save(update_fields=["contact"])
    list(Customer.objects.filter(active=True, city="Paris").exclude(number="C00001")[:10])
    list(Customer.objects.filter(Q(city="Bern") | Q(company__icontains="1")).order_by("-created", "id")[:5])
    page = Paginator(Customer.objects.order_by("company"), 10).page(2)
    [str(entry) for entry in page]
    list(Order.objects.select_related("customer").prefetch_related(
        Prefetch("lines", queryset=Line.objects.select_related("product"))).filter(status="new")[:5])
    list(Customer.objects.annotate(total=Sum("orders__lines__price"), count=Count("orders", distinct=True)).filter(count__gt=0)[:5])
    list(Customer.objects.values("city").annotate(n=Count("id"), last=Max("created")).order_by("city"))
    list(Customer.objects.values_list("number", "phone", flat=False)[:5])
    list(Customer.objects.only("number", "contact")[:3])
    list(Customer.objects.defer("notes")[:3])
    Customer.objects.in_bulk([1, 2, 3])
    Customer.objects.filter(phone__isnull=False).count()
    Customer.objects.filter(orders__status="new").distinct().count()
    Customer.objects.filter(number="C00002").exists()
    Customer.objects.order_by("id").first(), Customer.objects.latest("created")
    Customer.objects.get_or_create(number=f"G{rng.randrange(10**6)}", defaults={"company": "Got", "contact": "Made", "city": "Bern"})
    Customer.objects.update_or_create(number="U1", defaults={"company": "Upserted", "contact": "Now", "phone": "1", "city": "Bern"})
    many = list(Customer.objects.filter(city="London")[:5])
    for entry in many:
        entry.notes = "written in bulk"
    Customer.objects.bulk_update(many, ["notes"])
    Customer.objects.bulk_create([customer(100000 + rng.randrange(10**5))], ignore_conflicts=True)
    made.status = "paid"
    made.save(update_fields=["status"])
    Order.objects.filter(placed__date=datetime.date.today(), status="paid").aggregate(n=Count("id"), total=Sum("lines__price"))
    Order.objects.filter(customer__in=Customer.objects.filter(city="Bern")).count()
    for old in Order.objects.filter(customer=buyer).order_by("placed")[:1]:
        old.delete()


def pages(client):
    """The admin, and its forms."""
    client.get("/admin/")
    client.get("/admin/shop/customer/")
    client.get("/admin/shop/customer/?q=Company&active__exact=1&o=-2")
    client.get("/admin/shop/order/?status__exact=new")
    first = Customer.objects.order_by("id").first()
    form = {"number": first.number, "company": first.company, "contact": "Changed", "phone": "2", "street": "s", "city": "Bern",
            "born_on": "1980-02-03", "tax_id": "", "notes": "edited", "active": "on"}
    assert client.get(f"/admin/shop/customer/{first.pk}/change/").status_code == 200
    assert client.post(f"/admin/shop/customer/{first.pk}/change/", form).status_code == 302
    added = dict(form, number=f"A{rng.randrange(10**9)}")
    assert client.post("/admin/shop/customer/add/", added).status_code == 302
    gone = Customer.objects.get(number=added["number"])
    client.get(f"/admin/shop/customer/{gone.pk}/delete/")
    assert client.post(f"/admin/shop/customer/{gone.pk}/delete/", {"post": "yes"}).status_code == 302
    client.get(f"/admin/shop/customer/{first.pk}/history/")
    client.get("/admin/auth/user/")


def main():
    call_command("migrate", verbosity=0)
    fill()
    for n in range(10):
        client = Client()
        assert client.post("/admin/login/", {"username": "admin", "password": "secret", "next": "/admin/"}).status_code == 302
        pages(client)
        for _ in range(3):
            orm()
        user = User.objects.create_user(f"user{n}", f"user{n}@example.org", "pass", first_name="First", last_name="Last")
        user.last_name = "Renamed"
        user.save()
        assert Client().login(username=f"user{n}", password="pass")
        client.post("/admin/logout/")
    call_command("clearsessions")


main()
