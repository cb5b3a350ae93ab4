"""The route table of the Image API: method, path, handler, policy rule, success status.

The operation that a handler runs enforces the rule; a test compares the two. Routes without a rule are open to every valid token.
HEAD is answered like GET.
"""

from http import HTTPStatus

from partage.http.routing import Body, Row
from partage.http.v2 import (
    cache,
    image_data,
    images,
    imports,
    locations,
    members,
    metadefs,
    paths,
    schemas,
    stores,
    tags,
    tasks,
    usage,
)
from partage.policies import cache as cache_rules
from partage.policies import images as image_rules
from partage.policies import locations as location_rules
from partage.policies import members as member_rules
from partage.policies import metadefs as metadef_rules
from partage.policies import stores as store_rules
from partage.policies import tasks as task_rules

_OK = HTTPStatus(200)
_CREATED = HTTPStatus(201)
_ACCEPTED = HTTPStatus(202)
_DONE = HTTPStatus(204)


ROWS: tuple[Row, ...] = (
    Row("GET", paths.IMAGES, images.list_images, image_rules.GET_IMAGES, _OK, Body.TAKEN),
    Row("POST", paths.IMAGES, images.create_image, image_rules.ADD_IMAGE, _CREATED, Body.TAKEN),
    Row("GET", paths.IMAGE, images.show_image, image_rules.GET_IMAGE, _OK),
    Row("PATCH", paths.IMAGE, images.update_image, image_rules.MODIFY_IMAGE, _OK, Body.TAKEN),
    Row("DELETE", paths.IMAGE, images.delete_image, image_rules.DELETE_IMAGE, _DONE),
    Row("GET", paths.IMAGE + "/tasks", tasks.list_image_tasks, image_rules.GET_IMAGE, _OK),
    Row("POST", paths.IMAGE + "/actions/deactivate", images.deactivate_image, image_rules.DEACTIVATE, _DONE),
    Row("POST", paths.IMAGE + "/actions/reactivate", images.reactivate_image, image_rules.REACTIVATE, _DONE),
    Row("GET", paths.IMAGE + "/file", image_data.download_image_data, image_rules.DOWNLOAD_IMAGE, _OK),
    Row("PUT", paths.IMAGE + "/file", image_data.upload_image_data, image_rules.UPLOAD_IMAGE, _DONE, Body.TAKEN),
    Row("PUT", paths.IMAGE + "/stage", imports.stage_image_data, image_rules.MODIFY_IMAGE, _DONE, Body.TAKEN),
    Row("POST", paths.IMAGE + "/import", imports.request_import, image_rules.MODIFY_IMAGE, _ACCEPTED, Body.TAKEN),
    Row("GET", paths.IMAGE + "/locations", locations.list_locations, location_rules.FETCH_IMAGE_LOCATION, _OK),
    Row("POST", paths.IMAGE + "/locations", locations.add_location, location_rules.ADD_IMAGE_LOCATION, _ACCEPTED, Body.TAKEN),
    Row("PUT", paths.TAG, tags.add_tag, image_rules.MODIFY_IMAGE, _DONE),
    Row("DELETE", paths.TAG, tags.remove_tag, image_rules.MODIFY_IMAGE, _DONE),
    Row("GET", paths.MEMBERS, members.list_members, member_rules.GET_MEMBERS, _OK),
    Row("POST", paths.MEMBERS, members.add_member, member_rules.ADD_MEMBER, _OK, Body.TAKEN),
    Row("GET", paths.MEMBER, members.show_member, member_rules.GET_MEMBER, _OK),
    Row("PUT", paths.MEMBER, members.update_member, member_rules.MODIFY_MEMBER, _OK, Body.TAKEN),
    Row("DELETE", paths.MEMBER, members.remove_member, member_rules.DELETE_MEMBER, _DONE),
    Row("GET", paths.INFO + "/import", imports.list_import_methods, None, _OK),
    Row("GET", paths.INFO + "/stores", stores.list_stores, None, _OK),
    Row("GET", paths.INFO + "/stores/detail", stores.detail_stores, store_rules.STORES_INFO_DETAIL, _OK),
    Row("GET", paths.INFO + "/usage", usage.show_usage, None, _OK, Body.TAKEN),
    Row("DELETE", paths.STORES + "/{store_id}/{image_id}", stores.delete_from_store, location_rules.DELETE_IMAGE_LOCATION, _DONE),
    Row("GET", paths.CACHE, cache.show_cache, cache_rules.CACHE_LIST, _OK),
    Row("DELETE", paths.CACHE, cache.clear_cache, cache_rules.CACHE_DELETE, _DONE),
    Row("DELETE", paths.CACHE + "/{image_id}", cache.forget_image, cache_rules.CACHE_DELETE, _DONE),
    Row("PUT", paths.CACHE + "/{image_id}", cache.queue_image, cache_rules.CACHE_IMAGE, _ACCEPTED),
    Row("GET", paths.CACHE + "/nodes/{image_id}", cache.list_nodes, cache_rules.LIST_CACHED_NODES, _OK),
    Row("POST", paths.CACHE + "/clean", cache.clean_cache, cache_rules.CACHE_CLEAN, _OK),
    Row("POST", paths.CACHE + "/prune", cache.prune_cache, cache_rules.CACHE_PRUNE, _OK),
    Row("GET", paths.TASKS, tasks.list_tasks, task_rules.TASKS_API_ACCESS, _OK),
    Row("POST", paths.TASKS, tasks.create_task, task_rules.TASKS_API_ACCESS, _CREATED, Body.TAKEN),
    Row("GET", paths.TASK, tasks.show_task, task_rules.TASKS_API_ACCESS, _OK),
    Row("DELETE", paths.TASK, tasks.delete_task, task_rules.TASKS_API_ACCESS, _OK),
    Row("GET", paths.NAMESPACES, metadefs.list_namespaces, metadef_rules.GET_NAMESPACES, _OK),
    Row("POST", paths.NAMESPACES, metadefs.create_namespace, metadef_rules.ADD_NAMESPACE, _CREATED, Body.TAKEN),
    Row("GET", paths.NAMESPACE, metadefs.show_namespace, metadef_rules.GET_NAMESPACE, _OK),
    Row("PUT", paths.NAMESPACE, metadefs.update_namespace, metadef_rules.MODIFY_NAMESPACE, _OK, Body.TAKEN),
    Row("DELETE", paths.NAMESPACE, metadefs.delete_namespace, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", paths.OBJECTS, metadefs.objects.list_definitions, metadef_rules.GET_OBJECTS, _OK),
    Row("POST", paths.OBJECTS, metadefs.objects.add_definition, metadef_rules.ADD_OBJECT, _CREATED, Body.TAKEN),
    Row("DELETE", paths.OBJECTS, metadefs.objects.delete_definitions, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", paths.OBJECTS + "/{name}", metadefs.objects.show_definition, metadef_rules.GET_OBJECT, _OK),
    Row("PUT", paths.OBJECTS + "/{name}", metadefs.objects.update_definition, metadef_rules.MODIFY_OBJECT, _OK, Body.TAKEN),
    Row("DELETE", paths.OBJECTS + "/{name}", metadefs.objects.delete_definition, metadef_rules.DELETE_OBJECT, _DONE),
    Row("GET", paths.PROPERTIES, metadefs.properties.list_definitions, metadef_rules.GET_PROPERTIES, _OK),
    Row("POST", paths.PROPERTIES, metadefs.properties.add_definition, metadef_rules.ADD_PROPERTY, _CREATED, Body.TAKEN),
    Row("DELETE", paths.PROPERTIES, metadefs.properties.delete_definitions, metadef_rules.DELETE_NAMESPACE, _DONE),
    Row("GET", paths.PROPERTIES + "/{name}", metadefs.properties.show_definition, metadef_rules.GET_PROPERTY, _OK),
    Row("PUT", paths.PROPERTIES + "/{name}", metadefs.properties.update_definition, metadef_rules.MODIFY_PROPERTY, _OK, Body.TAKEN),
    Row("DELETE", paths.PROPERTIES + "/{name}", metadefs.properties.delete_definition, metadef_rules.REMOVE_PROPERTY, _DONE),
    Row("GET", paths.TAGS, metadefs.tags.list_definitions, metadef_rules.GET_TAGS, _OK),
    Row("POST", paths.TAGS, metadefs.add_tags, metadef_rules.ADD_TAGS, _CREATED, Body.TAKEN),
    Row("DELETE", paths.TAGS, metadefs.tags.delete_definitions, metadef_rules.DELETE_TAGS, _DONE),
    Row("GET", paths.TAGS + "/{name}", metadefs.tags.show_definition, metadef_rules.GET_TAG, _OK),
    Row("POST", paths.TAGS + "/{name}", metadefs.create_tag, metadef_rules.ADD_TAG, _CREATED),
    Row("PUT", paths.TAGS + "/{name}", metadefs.tags.update_definition, metadef_rules.MODIFY_TAG, _OK, Body.TAKEN),
    Row("DELETE", paths.TAGS + "/{name}", metadefs.tags.delete_definition, metadef_rules.DELETE_TAG, _DONE),
    Row("GET", paths.ASSOCIATIONS, metadefs.list_associations, metadef_rules.LIST_RESOURCE_TYPES, _OK),
    Row("POST", paths.ASSOCIATIONS, metadefs.associate, metadef_rules.ADD_ASSOCIATION, _CREATED, Body.TAKEN),
    Row("DELETE", paths.ASSOCIATIONS + "/{name}", metadefs.dissociate, metadef_rules.REMOVE_ASSOCIATION, _DONE),
    Row("GET", paths.RESOURCE_TYPES, metadefs.list_resource_types, metadef_rules.LIST_RESOURCE_TYPES, _OK),
    Row("GET", paths.METADEF_SCHEMAS + "/{schema}", metadefs.show_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/image", schemas.show_image_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/images", schemas.show_images_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/member", schemas.show_member_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/members", schemas.show_members_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/task", schemas.show_task_schema, None, _OK),
    Row("GET", paths.SCHEMAS + "/tasks", schemas.show_tasks_schema, None, _OK),
)
