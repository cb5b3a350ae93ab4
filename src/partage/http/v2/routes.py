"""Every route as one row: method, path, handler, policy rule, success status. One file answers "who may call what".

The rule is printed here and enforced by the operation behind the handler; a test compares the two. Calls without a rule are open to
every valid token. HEAD is answered wherever GET is.
"""

from http import HTTPStatus

from partage.http.routing import Body, Row
from partage.http.v2 import cache, image_data, images, imports, locations, members, metadefs, schemas, stores, tags, tasks, usage
from partage.policies import cache as cache_rules
from partage.policies import images as image_rules
from partage.policies import members as member_rules
from partage.policies import metadefs as metadef_rules
from partage.policies import stores as store_rules
from partage.policies import tasks as task_rules

PREFIX = "/v2"

_OK = HTTPStatus(200)
_CREATED = HTTPStatus(201)
_ACCEPTED = HTTPStatus(202)
_DONE = HTTPStatus(204)

_IMAGE = "/v2/images/{image_id}"
_MEMBERS = _IMAGE + "/members"
_MEMBER = _MEMBERS + "/{member_id}"
_TAG = _IMAGE + "/tags/{tag}"
_CACHE = "/v2/cache"
_NAMESPACES = "/v2/metadefs/namespaces"
_NAMESPACE = _NAMESPACES + "/{namespace}"

ROWS: tuple[Row, ...] = (
    Row("GET", "/v2/images", images.index, image_rules.GET_IMAGES, _OK, Body.TAKEN),
    Row("POST", "/v2/images", images.create, image_rules.ADD_IMAGE, _CREATED, Body.TAKEN),
    Row("GET", _IMAGE, images.show, image_rules.GET_IMAGE, _OK),
    Row("PATCH", _IMAGE, images.update, image_rules.MODIFY_IMAGE, _OK, Body.TAKEN),
    Row("DELETE", _IMAGE, images.delete, image_rules.DELETE_IMAGE, _DONE),
    Row("GET", _IMAGE + "/tasks", tasks.list_of_image, image_rules.GET_IMAGE, _OK),
    Row("POST", _IMAGE + "/actions/deactivate", images.deactivate, image_rules.DEACTIVATE, _DONE),
    Row("POST", _IMAGE + "/actions/reactivate", images.reactivate, image_rules.REACTIVATE, _DONE),
    Row("GET", _IMAGE + "/file", image_data.download, image_rules.DOWNLOAD_IMAGE, _OK),
    Row("PUT", _IMAGE + "/file", image_data.upload, image_rules.UPLOAD_IMAGE, _DONE, Body.TAKEN),
    Row("PUT", _IMAGE + "/stage", imports.stage, image_rules.MODIFY_IMAGE, _DONE, Body.TAKEN),
    Row("POST", _IMAGE + "/import", imports.begin, image_rules.MODIFY_IMAGE, _ACCEPTED, Body.TAKEN),
    Row("GET", _IMAGE + "/locations", locations.index, image_rules.FETCH_IMAGE_LOCATION, _OK),
    Row("POST", _IMAGE + "/locations", locations.add, image_rules.ADD_IMAGE_LOCATION, _ACCEPTED, Body.TAKEN),
    Row("PUT", _TAG, tags.add, image_rules.MODIFY_IMAGE, _DONE),
    Row("DELETE", _TAG, tags.remove, image_rules.MODIFY_IMAGE, _DONE),
    Row("GET", _MEMBERS, members.index, member_rules.GET_MEMBERS, _OK),
    Row("POST", _MEMBERS, members.create, member_rules.ADD_MEMBER, _OK, Body.TAKEN),
    Row("GET", _MEMBER, members.show, member_rules.GET_MEMBER, _OK),
    Row("PUT", _MEMBER, members.update, member_rules.MODIFY_MEMBER, _OK, Body.TAKEN),
    Row("DELETE", _MEMBER, members.delete, member_rules.DELETE_MEMBER, _DONE),
    Row("GET", "/v2/info/import", imports.methods, None, _OK),
    Row("GET", "/v2/info/stores", stores.list_stores, None, _OK),
    Row("GET", "/v2/info/stores/detail", stores.detail_stores, store_rules.STORES_INFO_DETAIL, _OK),
    Row("GET", "/v2/info/usage", usage.show_usage, None, _OK, Body.TAKEN),
    Row("DELETE", "/v2/stores/{store_id}/{image_id}", stores.delete_from_store, image_rules.DELETE_IMAGE_LOCATION, _DONE),
    Row("GET", _CACHE, cache.show, cache_rules.CACHE_LIST, _OK),
    Row("DELETE", _CACHE, cache.clear, cache_rules.CACHE_DELETE, _DONE),
    Row("DELETE", _CACHE + "/{image_id}", cache.forget, cache_rules.CACHE_DELETE, _DONE),
    Row("PUT", _CACHE + "/{image_id}", cache.queue, cache_rules.CACHE_IMAGE, _ACCEPTED),
    Row("GET", _CACHE + "/nodes/{image_id}", cache.nodes, cache_rules.LIST_CACHED_NODES, _OK),
    Row("POST", _CACHE + "/clean", cache.clean, cache_rules.CACHE_CLEAN, _OK),
    Row("POST", _CACHE + "/prune", cache.prune, cache_rules.CACHE_PRUNE, _OK),
    Row("GET", "/v2/tasks", tasks.index, task_rules.TASKS_API_ACCESS, _OK),
    Row("POST", "/v2/tasks", tasks.create, task_rules.TASKS_API_ACCESS, _CREATED, Body.TAKEN),
    Row("GET", "/v2/tasks/{task_id}", tasks.show, task_rules.TASKS_API_ACCESS, _OK),
    Row("DELETE", "/v2/tasks/{task_id}", tasks.delete, task_rules.TASKS_API_ACCESS, _OK),
    Row("GET", _NAMESPACES, metadefs.index, metadef_rules.GET_NAMESPACES, _OK),
    Row("POST", _NAMESPACES, metadefs.create, metadef_rules.ADD_NAMESPACE, _CREATED, Body.TAKEN),
    Row("GET", _NAMESPACE, metadefs.show, metadef_rules.GET_NAMESPACE, _OK),
    Row("PUT", _NAMESPACE, metadefs.update, metadef_rules.MODIFY_NAMESPACE, _OK, Body.TAKEN),
    Row("DELETE", _NAMESPACE, metadefs.delete, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", _NAMESPACE + "/objects", metadefs.objects.index, metadef_rules.GET_OBJECTS, _OK),
    Row("POST", _NAMESPACE + "/objects", metadefs.objects.create, metadef_rules.ADD_OBJECT, _CREATED, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/objects", metadefs.objects.delete_all, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", _NAMESPACE + "/objects/{name}", metadefs.objects.show, metadef_rules.GET_OBJECT, _OK),
    Row("PUT", _NAMESPACE + "/objects/{name}", metadefs.objects.update, metadef_rules.MODIFY_OBJECT, _OK, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/objects/{name}", metadefs.objects.delete, metadef_rules.DELETE_OBJECT, _DONE),
    Row("GET", _NAMESPACE + "/properties", metadefs.properties.index, metadef_rules.GET_PROPERTIES, _OK),
    Row("POST", _NAMESPACE + "/properties", metadefs.properties.create, metadef_rules.ADD_PROPERTY, _CREATED, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/properties", metadefs.properties.delete_all, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", _NAMESPACE + "/properties/{name}", metadefs.properties.show, metadef_rules.GET_PROPERTY, _OK),
    Row("PUT", _NAMESPACE + "/properties/{name}", metadefs.properties.update, metadef_rules.MODIFY_PROPERTY, _OK, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/properties/{name}", metadefs.properties.delete, metadef_rules.REMOVE_PROPERTY, _DONE),
    Row("GET", _NAMESPACE + "/tags", metadefs.tags.index, metadef_rules.GET_TAGS, _OK),
    Row("POST", _NAMESPACE + "/tags", metadefs.create_tags, metadef_rules.ADD_TAGS, _CREATED, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/tags", metadefs.tags.delete_all, metadef_rules.DELETE_TAGS, _DONE),
    Row("GET", _NAMESPACE + "/tags/{name}", metadefs.tags.show, metadef_rules.GET_TAG, _OK),
    Row("POST", _NAMESPACE + "/tags/{name}", metadefs.create_tag, metadef_rules.ADD_TAG, _CREATED),
    Row("PUT", _NAMESPACE + "/tags/{name}", metadefs.tags.update, metadef_rules.MODIFY_TAG, _OK, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/tags/{name}", metadefs.tags.delete, metadef_rules.DELETE_TAG, _DONE),
    Row("GET", _NAMESPACE + "/resource_types", metadefs.associations, metadef_rules.LIST_RESOURCE_TYPES, _OK),
    Row("POST", _NAMESPACE + "/resource_types", metadefs.associate, metadef_rules.ADD_ASSOCIATION, _CREATED, Body.TAKEN),
    Row("DELETE", _NAMESPACE + "/resource_types/{name}", metadefs.dissociate, metadef_rules.REMOVE_ASSOCIATION, _DONE),
    Row("GET", "/v2/metadefs/resource_types", metadefs.resource_types, metadef_rules.LIST_RESOURCE_TYPES, _OK),
    Row("GET", "/v2/schemas/metadefs/{schema}", metadefs.schema, None, _OK),
    Row("GET", "/v2/schemas/image", schemas.image, None, _OK),
    Row("GET", "/v2/schemas/images", schemas.images, None, _OK),
    Row("GET", "/v2/schemas/member", schemas.member, None, _OK),
    Row("GET", "/v2/schemas/members", schemas.members, None, _OK),
    Row("GET", "/v2/schemas/task", schemas.task, None, _OK),
    Row("GET", "/v2/schemas/tasks", schemas.tasks, None, _OK),
)
